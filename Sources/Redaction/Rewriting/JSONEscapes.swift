import CTextScan
import OTLPWire

/// Escapes of JSON strings: RFC 8259, section 7.
enum JSONEscapes {
    /// One escape: how long it is, and the character it stands for.
    private struct Escape {
        let rawBytes: Int
        let scalar: UInt32

        /// Bytes of the character in UTF-8.
        var utf8Bytes: Int { scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4 }
    }

    /// The escape whose backslash is at `index`. A lone surrogate stands for U+FFFD.
    private static func escape(_ raw: WireBytes, at index: Int) -> Escape? {
        guard index + 1 < raw.count else { return nil }
        let scalar: UInt32
        switch raw[index + 1] {
        case UInt8(ascii: "n"): scalar = 0x0A
        case UInt8(ascii: "t"): scalar = 0x09
        case UInt8(ascii: "r"): scalar = 0x0D
        case UInt8(ascii: "b"): scalar = 0x08
        case UInt8(ascii: "f"): scalar = 0x0C
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scalar = UInt32(raw[index + 1])
        case UInt8(ascii: "u"):
            guard let unit = unit(raw, at: index) else { return nil }
            if unit & 0xFC00 == 0xD800, let low = self.unit(raw, at: index + 6), low & 0xFC00 == 0xDC00 {
                return Escape(rawBytes: 12, scalar: 0x10000 + (unit & 0x3FF) << 10 + low & 0x3FF)
            }
            return Escape(rawBytes: 6, scalar: unit & 0xF800 == 0xD800 ? 0xFFFD : unit)
        default: return nil
        }
        return Escape(rawBytes: 2, scalar: scalar)
    }

    /// The UTF-16 unit of `\uXXXX` at `index`.
    private static func unit(_ raw: WireBytes, at index: Int) -> UInt32? {
        guard index + 6 <= raw.count, raw[index] == UInt8(ascii: "\\"), raw[index + 1] == UInt8(ascii: "u") else { return nil }
        var value: UInt32 = 0
        for byte in raw[(index + 2)..<(index + 6)] {
            guard ASCII.isHex(byte) else { return nil }
            value = value << 4 | UInt32(ASCII.isDigit(byte) ? byte &- 48 : (byte | 0x20) &- 87)
        }
        return value
    }

    /// Offset of the next backslash or of the end.
    @inline(__always)
    private static func plainEnd(_ raw: WireBytes, from start: Int) -> Int {
        guard let base = raw.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
        return start + ctextscan_either(base + start, raw.count - start, UInt8(ascii: "\\"), UInt8(ascii: "\\"))
    }

    /// Appends what `raw`, the inside of a string, stands for. False when an escape is malformed.
    static func decode(_ raw: WireBytes, into output: inout OutputBuffer) -> Bool {
        var position = 0
        while true {
            let end = plainEnd(raw, from: position)
            output.append(WireBytes(rebasing: raw[position..<end]))
            guard end < raw.count else { return true }
            guard let escape = escape(raw, at: end) else { return false }
            append(escape.scalar, &output)
            position = end + escape.rawBytes
        }
    }

    private static func append(_ scalar: UInt32, _ output: inout OutputBuffer) {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: scalar >> shift) & 0x3F | 0x80 }
        switch scalar {
        case ..<0x80: output.append(UInt8(scalar))
        case ..<0x800:
            output.append(UInt8(truncatingIfNeeded: scalar >> 6) | 0xC0)
            output.append(tail(0))
        case ..<0x10000:
            output.append(UInt8(truncatingIfNeeded: scalar >> 12) | 0xE0)
            output.append(tail(6))
            output.append(tail(0))
        default:
            output.append(UInt8(truncatingIfNeeded: scalar >> 18) | 0xF0)
            output.append(tail(12))
            output.append(tail(6))
            output.append(tail(0))
        }
    }

    /// Finds offsets of the decoded text in the raw one; asked for in ascending order.
    struct Cursor {
        private let raw: WireBytes
        private var rawPosition = 0
        private var position = 0

        init(_ raw: WireBytes) {
            self.raw = raw
        }

        /// The raw offset of `offset`; when that is inside an escaped character, of its start or end.
        mutating func raw(of offset: Int, roundingUp: Bool) -> Int {
            while position < offset {
                let end = JSONEscapes.plainEnd(raw, from: rawPosition)
                let plain = end - rawPosition
                if plain > 0 {
                    let step = min(plain, offset - position)
                    rawPosition += step
                    position += step
                    continue
                }
                guard let escape = JSONEscapes.escape(raw, at: rawPosition) else { return rawPosition }
                if position + escape.utf8Bytes > offset, !roundingUp { return rawPosition }
                rawPosition += escape.rawBytes
                position += escape.utf8Bytes
            }
            return rawPosition
        }
    }
}

extension RedactionScratch {
    func appendCopy(_ start: Int, _ count: Int) {
        replacements.reserve(count)
        for index in start..<start + count { replacements.append(replacements.withBytes { $0[index] }) }
    }

    /// Moves edits of an unescaped string to where they are in the text that holds it: `raw` stands there at `base`.
    func moveEdits(from mark: Int, into raw: WireBytes, at base: Int) {
        var cursor = JSONEscapes.Cursor(raw)
        for index in mark..<edits.count {
            edits[index].start = base + cursor.raw(of: edits[index].start, roundingUp: false)
            edits[index].end = base + cursor.raw(of: edits[index].end, roundingUp: true)
        }
    }

    /// Makes the replacements fit into a JSON string.
    func escapeReplacements(from mark: Int) {
        for index in mark..<edits.count {
            let start = edits[index].replacement
            let end = start + edits[index].replacementBytes
            let needsEscape = replacements.withBytes { bytes in bytes[start..<end].contains(where: Self.needsEscape) }
            guard needsEscape else { continue }
            edits[index].replacement = replacements.count
            for offset in start..<end { appendEscaped(replacements.withBytes { $0[offset] }) }
            edits[index].replacementBytes = replacements.count - edits[index].replacement
        }
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private func appendEscaped(_ byte: UInt8) {
        guard Self.needsEscape(byte) else { return replacements.append(byte) }
        replacements.append(UInt8(ascii: "\\"))
        guard byte < 0x20 else { return replacements.append(byte) }
        replacements.append("u00")
        replacements.append(byte < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
        let low = byte & 0xF
        replacements.append(low < 10 ? 48 + low : 87 + low)
    }
}
