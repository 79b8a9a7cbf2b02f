import OTLPWire

/// A value while a condition is evaluated. Texts point into the span or into the condition itself.
enum OTTLValue {
    case none
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(WireBytes)
    /// A text made during the evaluation, such as an id in hexadecimal.
    case madeString([UInt8])
    case bytes(WireBytes)
    /// Bytes made during the evaluation, such as an id.
    case madeBytes([UInt8])
    case map(AttributesView)
    case array(ArrayView)
    /// A list of which only the length is known: a span's events or links.
    case items(Int)

    init(_ value: AnyValueView?) {
        switch value {
        case .none, .absent: self = .none
        case .string(let text): self = .string(text)
        case .bool(let bool): self = .bool(bool)
        case .int(let int): self = .int(int)
        case .double(let double): self = .double(double)
        case .array(let array): self = .array(array)
        case .keyValueList(let map): self = .map(map)
        case .bytes(let bytes): self = .bytes(bytes)
        }
    }

    /// Calls `body` with the text's bytes; nil when this is no text.
    func withText<Result>(_ body: (WireBytes) -> Result) -> Result? {
        switch self {
        case .string(let text): body(text)
        case .madeString(let text): text.withUnsafeBytes(body)
        default: nil
        }
    }

    /// Calls `body` with the bytes; nil when these are no bytes.
    func withBytes<Result>(_ body: (WireBytes) -> Result) -> Result? {
        switch self {
        case .bytes(let bytes): body(bytes)
        case .madeBytes(let bytes): bytes.withUnsafeBytes(body)
        default: nil
        }
    }

    var isText: Bool {
        switch self {
        case .string, .madeString: true
        default: false
        }
    }
}

/// `==` and the like. Types that cannot be compared are unequal and in no order, as in the contrib's package.
enum OTTLComparison: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="

    func holds(_ left: OTTLValue, _ right: OTTLValue) -> Bool {
        switch (left, right) {
        case (.none, .none): return self == .equal || self == .lessOrEqual || self == .greaterOrEqual
        case (.int(let left), .int(let right)): return ordered(left, right)
        case (.double(let left), .double(let right)): return ordered(left, right)
        case (.int(let left), .double(let right)): return ordered(Double(left), right)
        case (.double(let left), .int(let right)): return ordered(left, Double(right))
        case (.bool(let left), .bool(let right)): return ordered(left ? 1 : 0, right ? 1 : 0)
        default:
            if left.isText, right.isText {
                return left.withText { left in right.withText { right in bytesHold(left, right) } ?? false } ?? false
            }
            return left.withBytes { left in right.withBytes { right in bytesHold(left, right) } }.flatMap { $0 } ?? (self == .notEqual)
        }
    }

    private func bytesHold(_ left: WireBytes, _ right: WireBytes) -> Bool {
        switch self {
        case .equal: left.elementsEqual(right)
        case .notEqual: !left.elementsEqual(right)
        case .less: left.lexicographicallyPrecedes(right)
        case .lessOrEqual: !right.lexicographicallyPrecedes(left)
        case .greater: right.lexicographicallyPrecedes(left)
        case .greaterOrEqual: !left.lexicographicallyPrecedes(right)
        }
    }

    private func ordered<Value: Comparable>(_ left: Value, _ right: Value) -> Bool {
        switch self {
        case .equal: left == right
        case .notEqual: left != right
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        }
    }
}

/// Why a condition could not be evaluated for a span. Carries nothing of the span.
public enum OTTLFailure: Error, Equatable {
    /// An operand of a kind that the operation does not take.
    case wrongType
    case divisionByZero
    case overflow
    /// A part of a text that it does not have.
    case outOfRange

    public var message: String {
        switch self {
        case .wrongType: "an operand is of a kind that the operation does not take"
        case .divisionByZero: "division by zero"
        case .overflow: "integer overflow"
        case .outOfRange: "a part of a text that it does not have"
        }
    }
}
