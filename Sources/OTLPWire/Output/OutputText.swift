import Glibc

/// Text from untrusted bytes. Invalid UTF-8 becomes U+FFFD, one for each maximal subpart of an ill-formed sequence
/// (The Unicode Standard, section 3.9), so that every reader of the output sees the same text.
extension OutputBuffer {
    /// U+0000 is legal JSON (`\u0000`), but neither `text` nor `jsonb` of PostgreSQL can hold it.
    public enum NulPolicy: Sendable {
        case keep
        case replace
    }

    /// `bytes` as a JSON string in quotes (RFC 8259 section 7): quotation mark, backslash and control characters are escaped.
    public mutating func appendJSONString(_ bytes: WireBytes, nul: NulPolicy) {
        reserve(bytes.count + 2)
        append(UInt8(ascii: "\""))
        appendJSONText(bytes, nul: nul)
        append(UInt8(ascii: "\""))
    }

    /// The same without the quotes, for strings that are written in parts.
    public mutating func appendJSONText(_ bytes: WireBytes, nul: NulPolicy) {
        appendText(bytes, TextWriter(escapes: true, nul: nul))
    }

    /// Text for a column: valid UTF-8 without U+0000, which becomes U+FFFD.
    public mutating func appendSanitised(_ bytes: WireBytes) {
        appendText(bytes, TextWriter(escapes: false, nul: .replace))
    }

    @inline(__always)
    private mutating func appendText(_ bytes: WireBytes, _ writer: TextWriter) {
        var position = 0
        while position < bytes.count {
            // In blocks, so that room for the worst case is not a multiple of a long text.
            let blockEnd = min(position + TextWriter.blockBytes, bytes.count)
            append(upTo: TextWriter.blockOutputBytesMax) { target in
                let written = writer.write(bytes, from: position, until: blockEnd, to: target)
                position = written.position
                return written.end - target
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
}
