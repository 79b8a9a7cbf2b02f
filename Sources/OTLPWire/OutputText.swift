import Glibc

/// Text from untrusted bytes. Invalid UTF-8 becomes U+FFFD, one for each maximal subpart of an ill-formed sequence
/// (The Unicode Standard, section 3.9), so that every reader of the output sees the same text.
///
/// Prompts are kilobytes of mostly plain text, so runs without anything special are found and copied eight bytes at a time.
extension OutputBuffer {
    /// U+0000 is legal JSON (`\u0000`), but neither `text` nor `jsonb` of PostgreSQL can hold it.
    public enum NulPolicy: Sendable {
        case keep
        case replace
    }

    /// UTF-8 of U+FFFD, the replacement character.
    private static var replacement: StaticString { "\u{FFFD}" }

    /// `bytes` as a JSON string in quotes (RFC 8259 section 7): quotation mark, backslash and control characters are escaped.
    public mutating func appendJSONString(_ bytes: WireBytes, nul: NulPolicy) {
        reserve(bytes.count + 2)
        append(UInt8(ascii: "\""))
        appendJSONText(bytes, nul: nul)
        append(UInt8(ascii: "\""))
    }

    /// The same without the quotes, for strings that are written in parts.
    public mutating func appendJSONText(_ bytes: WireBytes, nul: NulPolicy) {
        var position = 0
        while position < bytes.count {
            position = appendRun(bytes, from: position) { word in
                (word & 0x8080_8080_8080_8080) | Self.below0x20(word) | Self.zeros(word ^ 0x2222_2222_2222_2222)
                    | Self.zeros(word ^ 0x5C5C_5C5C_5C5C_5C5C)
            }
            guard position < bytes.count else { return }
            let byte = bytes[position]
            if byte >= 0x80 {
                position = appendNonASCII(bytes, from: position)
            } else {
                appendJSONEscape(byte, nul: nul)
                position += 1
            }
        }
    }

    /// Text for a column: valid UTF-8 without U+0000, which becomes U+FFFD.
    public mutating func appendSanitised(_ bytes: WireBytes) {
        var position = 0
        while position < bytes.count {
            position = appendRun(bytes, from: position) { word in (word & 0x8080_8080_8080_8080) | Self.zeros(word) }
            guard position < bytes.count else { return }
            if bytes[position] >= 0x80 {
                position = appendNonASCII(bytes, from: position)
            } else {
                append(Self.replacement)
                position += 1
            }
        }
    }

    /// Lower-case hexadecimal.
    public mutating func appendHex(_ bytes: WireBytes) {
        append(upTo: bytes.count * 2) { target in
            for index in 0..<bytes.count {
                let byte = UInt64(bytes[index])
                // Nibbles to characters without a table: '0' + nibble, and 39 more ('a' - '9' - 1) from ten on.
                let nibbles = (byte >> 4) | ((byte & 0xF) << 8)
                let letters = ((nibbles + 0x0606) >> 4) & 0x0101
                target.storeBytes(
                    of: UInt16(truncatingIfNeeded: nibbles + 0x3030 + letters * 39).littleEndian, toByteOffset: index * 2, as: UInt16.self)
            }
            return bytes.count * 2
        }
    }

    /// Standard alphabet with padding (RFC 4648 section 4).
    public mutating func appendBase64(_ bytes: WireBytes) {
        let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        let characters = alphabet.utf8Start
        let length = (bytes.count + 2) / 3 * 4
        append(upTo: length) { target in
            let output = target.assumingMemoryBound(to: UInt8.self)
            var written = 0
            var position = 0
            while position < bytes.count {
                let available = bytes.count - position
                let first = Int(bytes[position])
                let second = available > 1 ? Int(bytes[position + 1]) : 0
                let third = available > 2 ? Int(bytes[position + 2]) : 0
                output[written] = characters[first >> 2]
                output[written + 1] = characters[(first & 3) << 4 | second >> 4]
                output[written + 2] = available > 1 ? characters[(second & 0xF) << 2 | third >> 6] : UInt8(ascii: "=")
                output[written + 3] = available > 2 ? characters[third & 0x3F] : UInt8(ascii: "=")
                written += 4
                position += 3
            }
            return length
        }
    }

    /// Copies from `start` up to the first byte that `specials` marks; returns that byte's position, or the end.
    ///
    /// `specials` gets eight bytes, the first in the lowest byte, and sets the high bit of each special one. Marks above the
    /// lowest may be wrong, the lowest never is.
    @inline(__always)
    private mutating func appendRun(_ bytes: WireBytes, from start: Int, specials: (UInt64) -> UInt64) -> Int {
        guard let source = bytes.baseAddress else { return start }
        let wordBytes = MemoryLayout<UInt64>.size
        var position = start
        // Whole words may be stored although only a part counts: hence the room for one more.
        append(upTo: bytes.count - start + wordBytes) { target in
            let target = target - start
            while position <= bytes.count - wordBytes {
                let word = UInt64(littleEndian: source.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                target.storeBytes(of: word.littleEndian, toByteOffset: position, as: UInt64.self)
                let marks = specials(word)
                if marks != 0 {
                    position += marks.trailingZeroBitCount / 8
                    return position - start
                }
                position += wordBytes
            }
            while position < bytes.count {
                let byte = source.load(fromByteOffset: position, as: UInt8.self)
                // Filled up with spaces, which are not special.
                if specials(UInt64(byte) | 0x2020_2020_2020_2000) != 0 { break }
                target.storeBytes(of: byte, toByteOffset: position, as: UInt8.self)
                position += 1
            }
            return position - start
        }
        return position
    }

    /// Copies the bytes from `start` up to the next ASCII byte, repaired; returns that byte's position, or the end.
    private mutating func appendNonASCII(_ bytes: WireBytes, from start: Int) -> Int {
        var position = start
        while position < bytes.count, bytes[position] >= 0x80 {
            let sequence = UTF8Sequence(bytes, at: position)
            if sequence.isValid {
                append(WireBytes(rebasing: bytes[position..<position + sequence.length]))
            } else {
                append(Self.replacement)
            }
            position += sequence.length
        }
        return position
    }

    private mutating func appendJSONEscape(_ byte: UInt8, nul: NulPolicy) {
        switch byte {
        case UInt8(ascii: "\""): append(#"\""#)
        case UInt8(ascii: "\\"): append(#"\\"#)
        case 0x0A: append(#"\n"#)
        case 0x0D: append(#"\r"#)
        case 0x09: append(#"\t"#)
        case 0x08: append(#"\b"#)
        case 0x0C: append(#"\f"#)
        case 0 where nul == .replace: append(Self.replacement)
        default:
            append(#"\u00"#)
            withUnsafeBytes(of: byte) { appendHex($0) }
        }
    }

    /// The high bit of each zero byte; exact for the lowest.
    @inline(__always)
    private static func zeros(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
    }

    /// The high bit of each byte below 0x20; exact for the lowest.
    @inline(__always)
    private static func below0x20(_ word: UInt64) -> UInt64 {
        (word &- 0x2020_2020_2020_2020) & ~word & 0x8080_8080_8080_8080
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
