/// Values inside JSON strings: 64-bit integers, ids, bytes, doubles.
enum JSONScalars {
    /// Decimal digits with an optional sign; nil for anything else, also when it has more than 64 bits.
    static func magnitude(_ text: WireBytes) -> (isNegative: Bool, value: UInt64)? {
        let isNegative = text.first == UInt8(ascii: "-")
        guard text.count > (isNegative ? 1 : 0) else { return nil }
        var value: UInt64 = 0
        for index in (isNegative ? 1 : 0)..<text.count {
            let digit = UInt64(text[index] &- UInt8(ascii: "0"))
            guard digit < 10 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(digit)
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return (isNegative, value)
    }

    /// A double written as a string: protobuf's three names, or a JSON number.
    static func double(_ text: WireBytes) -> Double? {
        if text.matches("NaN") { return .nan }
        if text.matches("Infinity") { return .infinity }
        if text.matches("-Infinity") { return -.infinity }
        // Swift's reader would also take hexadecimal and other names.
        guard text.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || "+-.eE".utf8.contains($0) }) else { return nil }
        guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    /// Value of each character as a hexadecimal digit, -1 for all others; one pass of additions and comparisons would guess
    /// wrong on every second digit of a random id.
    private static let hexDigits = Table { character in
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int8(character - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int8(character - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int8(character - UInt8(ascii: "A") + 10)
        default: -1
        }
    }

    /// The standard and the URL-safe alphabet at once.
    private static let base64Digits = Table { character in
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int8(character - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): Int8(character - UInt8(ascii: "a") + 26)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int8(character - UInt8(ascii: "0") + 52)
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: -1
        }
    }

    /// Appends the bytes that `text` spells in hexadecimal; false, with `output` as it was, when it does not.
    static func appendHexDecoded(_ text: WireBytes, to output: inout OutputBuffer) -> Bool {
        guard text.count % 2 == 0 else { return false }
        let digits = hexDigits.values
        var all: Int8 = 0
        let start = output.count
        output.append(upTo: text.count / 2) { target in
            for index in 0..<text.count / 2 {
                let high = digits[Int(text[2 * index])]
                let low = digits[Int(text[2 * index + 1])]
                all |= high | low
                target.storeBytes(of: UInt8(bitPattern: high << 4 | low), toByteOffset: index, as: UInt8.self)
            }
            return text.count / 2
        }
        if all < 0 { output.truncate(to: start) }
        return all >= 0
    }

    /// Appends the bytes that `text` spells in base64, padded or not; false, with `output` as it was, when it does not.
    static func appendBase64Decoded(_ text: WireBytes, to output: inout OutputBuffer) -> Bool {
        var length = text.count
        if length % 4 == 0 {
            while length > 0, text.count - length < 2, text[length - 1] == UInt8(ascii: "=") { length -= 1 }
        }
        guard length % 4 != 1 else { return false }
        let digits = base64Digits.values
        let start = output.count
        output.reserve(length / 4 * 3 + 2)
        var bits: UInt32 = 0
        for index in 0..<length {
            let digit = digits[Int(text[index])]
            guard digit >= 0 else {
                output.truncate(to: start)
                return false
            }
            bits = bits << 6 | UInt32(digit)
            // Six bits come with each digit: a byte is complete with all but the first of four.
            let rest = UInt32((index + 1) * 6 % 8)
            if index % 4 != 0 { output.append(UInt8(truncatingIfNeeded: bits >> rest)) }
        }
        return true
    }

    /// A value for each byte, in memory that lives as long as the process: no bounds check and no reference count per look-up.
    private struct Table: @unchecked Sendable {
        let values: UnsafePointer<Int8>

        init(_ value: (UInt8) -> Int8) {
            let memory = UnsafeMutablePointer<Int8>.allocate(capacity: 256)
            for byte in UInt8.min...UInt8.max { (memory + Int(byte)).initialize(to: value(byte)) }
            values = UnsafePointer(memory)
        }
    }
}
