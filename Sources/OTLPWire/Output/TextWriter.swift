import Glibc

/// The inner loop of `OutputBuffer`'s text functions: repairs UTF-8, and for JSON escapes.
///
/// Prompts are kilobytes of text, often JSON inside a string. So plain runs are found and copied eight bytes at a time, and
/// what is special costs a few instructions: all writes go through one pointer into memory that was reserved before.
struct TextWriter {
    /// Input bytes between two looks at the output's capacity.
    static let blockBytes = 1_024
    /// An escape takes six bytes for one. A block may end within a sequence of four bytes, which is then written as a whole, and
    /// copying in words stores up to eight bytes too many.
    static let blockOutputBytesMax = (blockBytes + 4) * 6 + 8

    /// Escape what JSON strings must not hold.
    let escapes: Bool
    let nul: OutputBuffer.NulPolicy

    /// Writes `bytes` from `start` at least until `blockEnd`, at most `blockOutputBytesMax` bytes. Returns how far it got in
    /// both.
    @inline(__always)
    func write(
        _ bytes: WireBytes, from start: Int, until blockEnd: Int, to target: UnsafeMutableRawPointer
    ) -> (position: Int, end: UnsafeMutableRawPointer) {
        guard let first = bytes.baseAddress else { return (blockEnd, target) }
        let end = first + bytes.count
        let stop = first + blockEnd
        var source = first + start
        var target = target
        while source < stop {
            if end - source >= 8 {
                let word = UInt64(littleEndian: source.loadUnaligned(as: UInt64.self))
                target.storeBytes(of: word.littleEndian, as: UInt64.self)
                let marks = specials(word)
                if marks == 0 {
                    source += 8
                    target += 8
                    continue
                }
                let plain = marks.trailingZeroBitCount >> 3
                source += plain
                target += plain
                // The special byte may be the next block's.
                if source >= stop { break }
            }
            let byte = source.load(as: UInt8.self)
            if byte < 0x80 {
                target = single(byte, target)
                source += 1
            } else {
                // More of the same is likely to follow.
                repeat {
                    (source, target) = sequence(source, end, target)
                } while source < stop && source.load(as: UInt8.self) >= 0x80
            }
        }
        return (source - first, target)
    }

    /// Writes one ASCII character, escaped or replaced if need be.
    @inline(__always)
    private func single(_ byte: UInt8, _ target: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        if byte == 0, nul == .replace { return Self.replacement(target) }
        let isSpecial = byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
        guard escapes, isSpecial else {
            target.storeBytes(of: byte, as: UInt8.self)
            return target + 1
        }
        target.storeBytes(of: UInt8(ascii: "\\"), as: UInt8.self)
        if byte >= 0x20 {
            target.storeBytes(of: byte, toByteOffset: 1, as: UInt8.self)
            return target + 2
        }
        let letters: StaticString = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu"
        let letter = letters.utf8Start[Int(byte)]
        target.storeBytes(of: letter, toByteOffset: 1, as: UInt8.self)
        if letter != UInt8(ascii: "u") { return target + 2 }
        let digits: StaticString = "0123456789abcdef"
        target.storeBytes(of: UInt8(ascii: "0"), toByteOffset: 2, as: UInt8.self)
        target.storeBytes(of: UInt8(ascii: "0"), toByteOffset: 3, as: UInt8.self)
        target.storeBytes(of: digits.utf8Start[Int(byte >> 4)], toByteOffset: 4, as: UInt8.self)
        target.storeBytes(of: digits.utf8Start[Int(byte & 0xF)], toByteOffset: 5, as: UInt8.self)
        return target + 6
    }

    /// Writes one sequence of more than one byte, or U+FFFD for what is none.
    @inline(__always)
    private func sequence(
        _ source: UnsafeRawPointer, _ end: UnsafeRawPointer, _ target: UnsafeMutableRawPointer
    ) -> (source: UnsafeRawPointer, target: UnsafeMutableRawPointer) {
        if end - source >= 4 {
            let word = UInt32(littleEndian: source.loadUnaligned(as: UInt32.self))
            // Nearly all text that is not ASCII: three bytes, neither overlong nor surrogates.
            let firstTwo = word & 0x200F
            if word & 0x00C0_C0F0 == 0x0080_80E0, firstTwo != 0, firstTwo != 0x200D {
                target.storeBytes(of: word.littleEndian, as: UInt32.self)
                return (source + 3, target + 3)
            }
        }
        return Self.rareSequence(source, end, target)
    }

    private static func rareSequence(
        _ source: UnsafeRawPointer, _ end: UnsafeRawPointer, _ target: UnsafeMutableRawPointer
    ) -> (source: UnsafeRawPointer, target: UnsafeMutableRawPointer) {
        let sequence = UTF8Sequence(WireBytes(start: source, count: end - source), at: 0)
        guard sequence.isValid else { return (source + sequence.length, replacement(target)) }
        memcpy(target, source, sequence.length)
        return (source + sequence.length, target + sequence.length)
    }

    @inline(__always)
    private static func replacement(_ target: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
        target.storeBytes(of: 0xEF, as: UInt8.self)
        target.storeBytes(of: 0xBF, toByteOffset: 1, as: UInt8.self)
        target.storeBytes(of: 0xBD, toByteOffset: 2, as: UInt8.self)
        return target + 3
    }

    /// The high bit of each special byte of eight, the first in the lowest byte. Marks above the lowest may be wrong, the
    /// lowest never is.
    @inline(__always)
    private func specials(_ word: UInt64) -> UInt64 {
        let nonASCII = word & 0x8080_8080_8080_8080
        if !escapes { return nonASCII | Self.zeros(word) }
        let controls = (word &- 0x2020_2020_2020_2020) & ~word & 0x8080_8080_8080_8080
        return nonASCII | controls | Self.zeros(word ^ 0x2222_2222_2222_2222) | Self.zeros(word ^ 0x5C5C_5C5C_5C5C_5C5C)
    }

    /// The high bit of each zero byte; exact for the lowest.
    @inline(__always)
    private static func zeros(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
    }
}

/// One UTF-8 sequence of more than one byte (RFC 3629, table 3-7 of The Unicode Standard).
struct UTF8Sequence {
    /// Bytes of the sequence, or of the maximal subpart that one replacement character stands for; at least 1.
    let length: Int
    let isValid: Bool

    /// Reads the sequence whose first byte, at `start`, is 0x80 or more.
    @inline(__always)
    init(_ bytes: WireBytes, at start: Int) {
        let first = bytes[start]
        // What the second byte must lie between: keeps out overlong forms, surrogates and values over U+10FFFF.
        var second: ClosedRange<UInt8> = 0x80...0xBF
        var expected = 0
        switch first {
        case 0xC2...0xDF: expected = 2
        case 0xE0: (expected, second) = (3, 0xA0...0xBF)
        case 0xED: (expected, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: expected = 3
        case 0xF0: (expected, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: expected = 4
        case 0xF4: (expected, second) = (4, 0x80...0x8F)
        default: break
        }
        guard expected > 0, start + 1 < bytes.count, second.contains(bytes[start + 1]) else {
            (length, isValid) = (1, false)
            return
        }
        var length = 2
        while length < expected, start + length < bytes.count, bytes[start + length] & 0xC0 == 0x80 { length += 1 }
        self.length = length
        isValid = length == expected
    }
}
