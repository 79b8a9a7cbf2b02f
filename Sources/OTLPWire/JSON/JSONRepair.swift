import Glibc

/// Second chance for a JSON text that simdjson refuses or reads too narrowly, although what it means is clear:
/// invalid UTF-8 and lone surrogates (JavaScript strings may hold them) become U+FFFD; integers of more than 64 bits, which
/// JavaScript writes for doubles up to 1e21, get a fraction, and so does a negative zero, so that they are read as doubles.
enum JSONRepair {
    /// Whether the text may hold the number "-0", which looks like an integer but can only be meant as a double.
    static func hasNegativeZero(_ json: WireBytes) -> Bool {
        guard let start = json.baseAddress else { return false }
        var position = 0
        while let found = memchr(start + position, Int32(UInt8(ascii: "-")), json.count - position) {
            position = UnsafeRawPointer(found) - start + 1
            // In front of a fraction or an exponent the sign is kept; digits or letters follow inside strings.
            if position < json.count, json[position] == UInt8(ascii: "0"), position + 1 == json.count || isAfterNumber(json[position + 1]) {
                return true
            }
        }
        return false
    }

    private static func isAfterNumber(_ byte: UInt8) -> Bool {
        byte <= 0x20 || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]")
    }

    /// Appends the repaired text; false when nothing needed it. Text that is no JSON at all stays none.
    static func repair(_ json: WireBytes, into output: inout OutputBuffer) -> Bool {
        var reader = Reader(json: json)
        while reader.position < json.count {
            reader.isInString ? reader.stringPart(into: &output) : reader.outsideStrings(into: &output)
        }
        return reader.changed
    }

    private struct Reader {
        let json: WireBytes
        var position = 0
        var isInString = false
        var changed = false

        mutating func outsideStrings(into output: inout OutputBuffer) {
            let byte = json[position]
            switch byte {
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): number(into: &output)
            case UInt8(ascii: "\""):
                isInString = true
                fallthrough
            default:
                output.append(byte)
                position += 1
            }
        }

        private mutating func number(into output: inout OutputBuffer) {
            let start = position
            while position < json.count, "0123456789+-.eE".utf8.contains(json[position]) { position += 1 }
            let token = WireBytes(rebasing: json[start..<position])
            output.append(token)
            if needsFraction(token) {
                output.append(".0")
                changed = true
            }
        }

        private func needsFraction(_ token: WireBytes) -> Bool {
            let isNegative = token.first == UInt8(ascii: "-")
            let digits = WireBytes(rebasing: token.dropFirst(isNegative ? 1 : 0))
            guard digits.count > 0, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return false }
            guard let (_, value) = JSONScalars.magnitude(digits) else { return true }
            return isNegative && (value == 0 || value > Int64.min.magnitude)
        }

        mutating func stringPart(into output: inout OutputBuffer) {
            let byte = json[position]
            if byte == UInt8(ascii: "\\") {
                escape(into: &output)
            } else if byte >= 0x80 {
                let sequence = UTF8Sequence(json, at: position)
                output.appendSanitised(WireBytes(rebasing: json[position..<position + sequence.length]))
                position += sequence.length
                if !sequence.isValid { changed = true }
            } else {
                if byte == UInt8(ascii: "\"") { isInString = false }
                output.append(byte)
                position += 1
            }
        }

        /// Copies one escape, a surrogate pair as a whole.
        private mutating func escape(into output: inout OutputBuffer) {
            guard let unit = codeUnit(at: position) else {
                // Two bytes at least, so that an escaped quotation mark does not end the string.
                let length = min(2, json.count - position)
                // What follows the backslash may be the start of a UTF-8 sequence, which is not to be split.
                let copied = length == 2 && json[position + 1] >= 0x80 ? 1 : length
                output.append(WireBytes(rebasing: json[position..<position + copied]))
                position += copied
                return
            }
            let low = codeUnit(at: position + 6)
            let isPair = (0xD800...0xDBFF).contains(unit) && low.map { (0xDC00...0xDFFF).contains($0) } == true
            let length = isPair ? 12 : 6
            if !isPair, (0xD800...0xDFFF).contains(unit) {
                output.append(#"\ufffd"#)
                changed = true
            } else {
                output.append(WireBytes(rebasing: json[position..<position + length]))
            }
            position += length
        }

        /// The UTF-16 code unit that `\uXXXX` at `start` names, or nil when none stands there.
        private func codeUnit(at start: Int) -> UInt16? {
            guard start + 6 <= json.count, json[start] == UInt8(ascii: "\\"), json[start + 1] == UInt8(ascii: "u") else { return nil }
            var value: UInt16 = 0
            for index in start + 2..<start + 6 {
                guard let digit = Character(UnicodeScalar(json[index])).hexDigitValue else { return nil }
                value = value << 4 | UInt16(digit)
            }
            return value
        }
    }
}
