import Configuration
import OTLPWire

/// Attribute values as text, the way the Go collector's `Value.AsString` writes them: texts as they are, numbers in decimal, bytes in
/// base64, lists and maps as JSON, an absent value as nothing.
///
/// Different from there: members of maps stay in the order they were sent instead of being sorted, `<`, `>` and `&` are not escaped,
/// and NaN and the infinities are `NaN`, `+Inf` and `-Inf` without a remark before them.
extension OutputBuffer {
    mutating func appendText(of value: AnyValueView) {
        switch value {
        case .string(let text): append(text)
        case .array, .keyValueList: appendJSON(of: value)
        case .bytes(let bytes): appendBase64(bytes)
        case .bool(let flag): append(flag ? "true" : "false")
        case .int(let number): appendDecimal(number)
        case .double(let number): appendNumber(number)
        case .absent: break
        }
    }

    /// Recurses at most as deep as values may nest: the request was refused otherwise.
    private mutating func appendJSON(of value: AnyValueView) {
        switch value {
        case .absent: append("null")
        case .string(let text): appendJSONString(text, nul: .keep)
        case .bytes(let bytes):
            append(UInt8(ascii: "\""))
            appendBase64(bytes)
            append(UInt8(ascii: "\""))
        case .double(let number) where !number.isFinite:
            append(UInt8(ascii: "\""))
            appendNumber(number)
            append(UInt8(ascii: "\""))
        case .bool, .int, .double: appendText(of: value)
        case .array(let elements):
            append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { append(UInt8(ascii: ",")) }
                isFirst = false
                appendJSON(of: element)
            }
            append(UInt8(ascii: "]"))
        case .keyValueList(let members):
            append(UInt8(ascii: "{"))
            var isFirst = true
            for member in members {
                if !isFirst { append(UInt8(ascii: ",")) }
                isFirst = false
                appendJSONString(member.key, nul: .keep)
                append(UInt8(ascii: ":"))
                appendJSON(of: member.value)
            }
            append(UInt8(ascii: "}"))
        }
    }

    /// As ECMAScript writes a number, which Go's JSON follows: no fraction when it is whole, an exponent below 1e-6 and from 1e21 on.
    private mutating func appendNumber(_ number: Double) {
        let exponentFrom = 1e21
        let exponentBelow = 1e-6
        let magnitude = number.magnitude
        if number.isNaN {
            append("NaN")
        } else if number.isInfinite {
            append(number > 0 ? "+Inf" : "-Inf")
        } else if magnitude >= exponentFrom || magnitude != 0 && magnitude < exponentBelow {
            appendExponential(number)
        } else {
            // It ends in a fraction, if only ".0".
            appendPlainDouble(number)
            let isWhole = withBytes { $0[$0.count - 1] == UInt8(ascii: "0") && $0[$0.count - 2] == UInt8(ascii: ".") }
            if isWhole { truncate(to: count - 2) }
        }
    }

    /// `1e+300`, `1.5e-7`: Swift's digits, with a sign before the exponent and no fraction of nothing.
    private mutating func appendExponential(_ number: Double) {
        let digits = number.description
        let parts = digits.split(separator: "e", maxSplits: 1)
        guard parts.count == 2 else { return append(digits) }
        append(String(parts[0].hasSuffix(".0") ? parts[0].dropLast(2) : parts[0]))
        append(UInt8(ascii: "e"))
        var exponent = parts[1]
        if exponent.first == "-" || exponent.first == "+" {
            append(String(exponent.removeFirst()))
        } else {
            append(UInt8(ascii: "+"))
        }
        append(String(exponent.drop { $0 == "0" }))
    }

    /// An `AnyValue` from the configuration.
    mutating func appendValue(_ value: ConfigValue) {
        switch value {
        case .bool(let flag): appendAnyValue(bool: flag)
        case .int(let number): appendAnyValue(int: Int64(number))
        case .double(let number): appendAnyValue(double: number)
        case .string(let text): Array(text.utf8).withUnsafeBytes { appendBytesField(OTLPField.AnyValue.string, $0) }
        case .list(let items):
            appendMessage(OTLPField.AnyValue.array) { list in
                for item in items { list.appendMessage(OTLPField.ArrayValue.values) { $0.appendValue(item) } }
            }
        case .mapping(let members):
            appendMessage(OTLPField.AnyValue.kvlist) { list in
                for member in members {
                    Array(member.key.utf8).withUnsafeBytes { key in
                        list.appendAttribute(OTLPField.KeyValueList.values, key: key) { $0.appendValue(member.value) }
                    }
                }
            }
        }
    }
}
