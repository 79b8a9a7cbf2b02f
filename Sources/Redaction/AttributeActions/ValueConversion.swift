import OTLPWire

/// What `converted_type` may say.
enum ConvertedType: String, CaseIterable, Sendable {
    case string, int, double

    /// Longest text that is read as a number: every double has a shorter one, and zeros before it are not worth more.
    private static let numberBytesMax = 1024

    /// Encodes `value` in this type; nil when it has the type already or cannot be converted, and is to stay as it is.
    ///
    /// As the Go collector, which reads texts with `strconv`: `12abc`, ` 12` and `1.5` are no whole numbers. Different from there: a
    /// number beyond an int64 stays a double, where Go's result depends on the processor.
    func converted(_ value: AnyValueView) -> ((inout OutputBuffer) -> Void)? {
        switch self {
        case .string:
            if case .string = value { return nil }
            return { output in output.appendMessage(OTLPField.AnyValue.string) { $0.appendText(of: value) } }
        case .int: return Self.int(value).map { number in { $0.appendAnyValue(int: number) } }
        case .double: return Self.double(value).map { number in { $0.appendAnyValue(double: number) } }
        }
    }

    private static func int(_ value: AnyValueView) -> Int64? {
        switch value {
        case .double(let number): Int64(exactly: number.rounded(.towardZero))
        case .bool(let flag): flag ? 1 : 0
        case .string(let text): int(text)
        case .int, .array, .keyValueList, .bytes, .absent: nil
        }
    }

    private static func double(_ value: AnyValueView) -> Double? {
        switch value {
        case .int(let number): Double(number)
        case .bool(let flag): flag ? 1 : 0
        case .string(let text): double(text)
        case .double, .array, .keyValueList, .bytes, .absent: nil
        }
    }

    /// Decimal digits with an optional sign.
    private static func int(_ text: WireBytes) -> Int64? {
        guard let first = text.first, text.count <= numberBytesMax else { return nil }
        let isNegative = first == UInt8(ascii: "-")
        let digits = isNegative || first == UInt8(ascii: "+") ? text[1...] : text[...]
        guard !digits.isEmpty else { return nil }
        var number: Int64 = 0
        for byte in digits {
            let digit = byte &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            // Towards the sign: the smallest number has no positive counterpart.
            let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, isOver) =
                isNegative
                ? tens.subtractingReportingOverflow(Int64(digit)) : tens.addingReportingOverflow(Int64(digit))
            guard !isTooLarge, !isOver else { return nil }
            number = sum
        }
        return number
    }

    /// What Go's `strconv.ParseFloat` reads: decimal, hexadecimal with `p`, `inf`, `infinity`, `nan`; not what is out of range.
    private static func double(_ text: WireBytes) -> Double? {
        guard text.count <= numberBytesMax else { return nil }
        let isPlain = text.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): true
            default: false
            }
        }
        guard isPlain else { return nil }
        let string = String(decoding: text, as: UTF8.self).lowercased()
        if string.contains("x"), !string.contains("p") { return nil }
        guard let number = Double(string) else { return nil }
        if number.isInfinite, !string.contains("inf") { return nil }
        return number
    }
}
