import Glibc
import OTLPWire

/// Counts and amounts as instrumentations send them: integers, doubles, or either as text. What is negative, not finite, or no
/// number counts as absent.
enum TolerantNumber {
    @inline(__always)
    static func count(_ value: AnyValueView) -> Int64? {
        switch value {
        case .int(let number): number >= 0 && number <= GenAILimits.tokensMax ? number : nil
        case .double(let number): count(number)
        case .string(let text): amount(text).flatMap(count)
        case .absent, .bool, .array, .keyValueList, .bytes: nil
        }
    }

    /// Of a whole number only.
    static func count(_ number: Double) -> Int64? {
        guard number >= 0, number <= Double(GenAILimits.tokensMax), number == number.rounded() else { return nil }
        return Int64(number)
    }

    /// Not negative.
    static func amount(_ value: AnyValueView) -> Double? {
        switch value {
        case .int(let number): number >= 0 ? Double(number) : nil
        case .double(let number): number >= 0 && number.isFinite ? number : nil
        case .string(let text): amount(text).flatMap { $0 >= 0 ? $0 : nil }
        case .absent, .bool, .array, .keyValueList, .bytes: nil
        }
    }

    /// Decimal text, white space around it allowed, as its nearest double; nil for hexadecimal, names of infinity and the like.
    static func amount(_ text: WireBytes) -> Double? {
        guard text.count > 0, text.count <= GenAILimits.numberTextBytesMax else { return nil }
        var digits = false
        for byte in text {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digits = true
            case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "e"), UInt8(ascii: "E"), 0x20, 0x0A, 0x0D, 0x09:
                break
            default: return nil
            }
        }
        guard digits else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { buffer in
            for (index, byte) in text.enumerated() { buffer.initializeElement(at: index, to: CChar(bitPattern: byte)) }
            buffer.initializeElement(at: text.count, to: 0)
            guard let start = buffer.baseAddress else { return nil }
            var end: UnsafeMutablePointer<CChar>?
            let number = strtod(start, &end)
            guard let end, end > start, number.isFinite else { return nil }
            var rest = end
            while rest.pointee == 0x20 || rest.pointee == 0x0A || rest.pointee == 0x0D || rest.pointee == 0x09 { rest += 1 }
            return rest.pointee == 0 ? number : nil
        }
    }

    /// Text that is not empty.
    @inline(__always)
    static func text(_ value: AnyValueView) -> WireBytes? {
        if case .string(let text) = value, text.count > 0 { return text }
        return nil
    }
}
