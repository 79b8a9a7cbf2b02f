import CTextScan
import OTLPWire

/// Bytes that detectors look around in: what lies outside reads as 0, which no detector accepts, so no index can trap.
struct Text {
    private let base: UnsafePointer<UInt8>
    let count: Int

    @inline(__always)
    init(_ bytes: WireBytes) {
        // Never read when there are no bytes.
        let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        base = start.assumingMemoryBound(to: UInt8.self)
        count = bytes.count
    }

    @inline(__always)
    subscript(_ index: Int) -> UInt8 {
        UInt(bitPattern: index) < UInt(bitPattern: count) ? base[index] : 0
    }

    /// Of the first byte; not to be read when there is none.
    @inline(__always)
    var start: UnsafePointer<UInt8> { base }

    func bytes(_ start: Int, _ end: Int) -> WireBytes {
        WireBytes(rebasing: WireBytes(start: base, count: count)[start..<end])
    }

    /// Offset after the run of bytes from `start` on that `accepts`, at most `limit` of them.
    @inline(__always)
    func run(from start: Int, limit: Int = .max, _ accepts: (UInt8) -> Bool) -> Int {
        var end = start
        let stop = limit < count - start ? start + limit : count
        while end < stop, accepts(self[end]) { end += 1 }
        return end
    }

    /// Whether `count` of the `reach` bytes from `start` on are digits.
    func hasDigits(_ count: Int, from start: Int, reach: Int) -> Bool {
        var missing = count
        for index in start..<min(start + reach, self.count) where ASCII.isDigit(base[index]) {
            missing -= 1
            if missing == 0 { return true }
        }
        return false
    }

    /// Offset after the run of letters, digits, underscores and hyphens from `start` on, at most `limit` of them.
    func tokenEnd(from start: Int, limit: Int) -> Int {
        guard start < count else { return start }
        return start + ctextscan_tokens(base + start, min(limit, count - start))
    }

    /// Offset of the first byte of the run of them before `end`, at most `limit` of them.
    func tokenStart(before end: Int, limit: Int) -> Int {
        end - ctextscan_tokens_before(base + end, min(limit, end))
    }

    /// A bit for each hyphen and underscore among the first 64 bytes of `start..<end`, which is inside.
    func joints(from start: Int, to end: Int) -> UInt64 { ctextscan_joints(base + start, end - start) }

    /// Offset of the first byte of the run before `end` that `accepts`, at most `limit` of them.
    @inline(__always)
    func runStart(before end: Int, limit: Int, _ accepts: (UInt8) -> Bool) -> Int {
        var start = end
        let stop = max(0, end - limit)
        while start > stop, accepts(self[start - 1]) { start -= 1 }
        return start
    }

    /// Whether `word` stands at `index`.
    func has(_ word: StaticString, at index: Int) -> Bool {
        let length = word.utf8CodeUnitCount
        guard index >= 0, length <= count - index else { return false }
        for offset in 0..<length where base[index + offset] != word.utf8Start[offset] { return false }
        return true
    }

    /// Whether `word`, in small letters, stands at `index` in letters of any case.
    func hasAnyCase(_ word: StaticString, at index: Int) -> Bool {
        let length = word.utf8CodeUnitCount
        guard index >= 0, length <= count - index else { return false }
        for offset in 0..<length where ASCII.lower(base[index + offset]) != word.utf8Start[offset] { return false }
        return true
    }

    /// Whether one of the words, in small letters, starts as a word of its own among the `reach` bytes before `end`. Longer words
    /// may go on (`birthday`), short ones not (`sin` in `single`).
    func hasWord(_ words: [StaticString], before end: Int, reach: Int) -> Bool {
        var index = max(0, end - reach)
        while index < end {
            if ASCII.isLetter(self[index]), !ASCII.isLetter(self[index - 1]) || isEscapeEnd(index) || isCamelHump(index) {
                for word in words where hasAnyCase(word, at: index) {
                    let length = word.utf8CodeUnitCount
                    if length > 4 || !ASCII.isLower(self[index + length]) { return true }
                }
            }
            index += 1
        }
        return false
    }

    /// The capital in `dateOfBirth`.
    private func isCamelHump(_ index: Int) -> Bool {
        ASCII.isUpper(self[index]) && ASCII.isLower(self[index - 1])
    }

    /// Whether a JSON escape (`\n`, `\u003c`) ends right before `index`: then what looks like a letter there is none. Texts that
    /// are valid JSON are unescaped before; this is for the rest of them, such as JSON that an SDK has cut off.
    func isEscapeEnd(_ index: Int) -> Bool {
        switch self[index - 1] {
        case UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"), UInt8(ascii: "b"), UInt8(ascii: "f"):
            if self[index - 2] == UInt8(ascii: "\\") { return true }
        default: break
        }
        return isUnicodeEscape(at: index - 6)
    }

    /// `\u003c` at `index`.
    func isUnicodeEscape(at index: Int) -> Bool {
        guard self[index] == UInt8(ascii: "\\"), self[index + 1] == UInt8(ascii: "u") else { return false }
        return (2..<6).allSatisfy { ASCII.isHex(self[index + $0]) }
    }
}

/// Classes of bytes. Bytes of 128 and more are in none of them.
enum ASCII {
    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

    @inline(__always)
    static func isUpper(_ byte: UInt8) -> Bool { byte &- 0x41 < 26 }

    @inline(__always)
    static func isLower(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 }

    @inline(__always)
    static func isAlphanumeric(_ byte: UInt8) -> Bool { isLetter(byte) || isDigit(byte) }

    /// Letters, digits, underscore.
    @inline(__always)
    static func isWord(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || byte == UInt8(ascii: "_") }

    /// Letters, digits, underscore, hyphen: the base64url alphabet.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool { isWord(byte) || byte == UInt8(ascii: "-") }

    @inline(__always)
    static func isHex(_ byte: UInt8) -> Bool { isDigit(byte) || (byte | 0x20) &- 0x61 < 6 }

    @inline(__always)
    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte &- 9 < 5 }

    @inline(__always)
    static func lower(_ byte: UInt8) -> UInt8 { isUpper(byte) ? byte | 0x20 : byte }
}
