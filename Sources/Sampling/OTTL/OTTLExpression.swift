import Glibc
import OTLPWire
import Patterns

/// An expression that yields a value.
indirect enum OTTLExpression: Sendable {
    case literal(OTTLLiteral)
    case path(OTTLPath)
    case arithmetic(Arithmetic, OTTLExpression, OTTLExpression)
    case negated(OTTLExpression)
    case length(OTTLExpression)
    case int(OTTLExpression)
    case double(OTTLExpression)
    case text(OTTLExpression)
    case lowerCase(OTTLExpression)

    enum Arithmetic: String, Sendable { case plus = "+", minus = "-", times = "*", over = "/" }

    func value(_ subject: OTTLSubject) throws(OTTLFailure) -> OTTLValue {
        switch self {
        case .literal(let literal): return literal.value
        case .path(let path): return path.read(subject)
        case .arithmetic(let operation, let left, let right):
            return try Self.compute(operation, left.value(subject), right.value(subject))
        case .negated(let operand): return try Self.compute(.minus, .int(0), operand.value(subject))
        case .length(let operand): return .int(try Self.length(operand.value(subject)))
        case .int(let operand): return Self.int(try operand.value(subject))
        case .double(let operand): return Self.double(try operand.value(subject))
        case .text(let operand): return Self.text(try operand.value(subject))
        case .lowerCase(let operand):
            let lowered = try operand.value(subject).withText { text in
                text.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 + 32 : $0 }
            }
            guard let lowered else { throw .wrongType }
            return .madeString(lowered)
        }
    }

    private static func compute(_ operation: Arithmetic, _ left: OTTLValue, _ right: OTTLValue) throws(OTTLFailure) -> OTTLValue {
        switch (left, right) {
        case (.int(let left), .int(let right)): return .int(try compute(operation, left, right))
        case (.double(let left), .double(let right)): return .double(compute(operation, left, right))
        case (.int(let left), .double(let right)): return .double(compute(operation, Double(left), right))
        case (.double(let left), .int(let right)): return .double(compute(operation, left, Double(right)))
        default: throw .wrongType
        }
    }

    private static func compute(_ operation: Arithmetic, _ left: Int64, _ right: Int64) throws(OTTLFailure) -> Int64 {
        let result: (partialValue: Int64, overflow: Bool)
        switch operation {
        case .plus: result = left.addingReportingOverflow(right)
        case .minus: result = left.subtractingReportingOverflow(right)
        case .times: result = left.multipliedReportingOverflow(by: right)
        case .over:
            if right == 0 { throw .divisionByZero }
            result = left.dividedReportingOverflow(by: right)
        }
        if result.overflow { throw .overflow }
        return result.partialValue
    }

    private static func compute(_ operation: Arithmetic, _ left: Double, _ right: Double) -> Double {
        switch operation {
        case .plus: left + right
        case .minus: left - right
        case .times: left * right
        case .over: left / right
        }
    }

    // MARK: Functions

    /// Bytes of a text, elements of a list, entries of a map.
    private static func length(_ value: OTTLValue) throws(OTTLFailure) -> Int64 {
        switch value {
        case .string(let text): return Int64(text.count)
        case .madeString(let text): return Int64(text.count)
        case .bytes(let bytes): return Int64(bytes.count)
        case .madeBytes(let bytes): return Int64(bytes.count)
        case .array(let array): return Int64(array.reduce(0) { count, _ in count + 1 })
        case .map(let map): return Int64(map.reduce(0) { count, _ in count + 1 })
        case .none, .bool, .int, .double: throw .wrongType
        }
    }

    /// Nil (`nil` in OTTL) for what is no whole number: the conversion does not fail.
    private static func int(_ value: OTTLValue) -> OTTLValue {
        switch value {
        case .int: value
        case .double(let double): Int64(exactly: double.rounded(.towardZero)).map { .int($0) } ?? .none
        case .bool(let bool): .int(bool ? 1 : 0)
        default: value.withText { Int64(String(decoding: $0, as: UTF8.self)) }.flatMap { $0 }.map { .int($0) } ?? .none
        }
    }

    private static func double(_ value: OTTLValue) -> OTTLValue {
        switch value {
        case .double: value
        case .int(let int): .double(Double(int))
        case .bool(let bool): .double(bool ? 1 : 0)
        default: value.withText { Double(String(decoding: $0, as: UTF8.self)) }.flatMap { $0 }.map { .double($0) } ?? .none
        }
    }

    static func text(_ value: OTTLValue) -> OTTLValue {
        switch value {
        case .string, .madeString: value
        case .int(let int): .madeString(Array(String(int).utf8))
        case .double(let double): .madeString(Array(String(double).utf8))
        case .bool(let bool): .madeString(Array(String(bool).utf8))
        case .none, .bytes, .madeBytes, .map, .array: .none
        }
    }
}

enum OTTLLiteral: Sendable {
    case none
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string([UInt8])
    case bytes([UInt8])

    var value: OTTLValue {
        switch self {
        case .none: .none
        case .bool(let bool): .bool(bool)
        case .int(let int): .int(int)
        case .double(let double): .double(double)
        case .string(let text): .madeString(text)
        case .bytes(let bytes): .madeBytes(bytes)
        }
    }
}

/// An expression that holds or does not.
indirect enum OTTLTest: Sendable {
    case constant(Bool)
    case compare(OTTLComparison, OTTLExpression, OTTLExpression)
    case and(OTTLTest, OTTLTest)
    case or(OTTLTest, OTTLTest)
    case not(OTTLTest)
    case matches(OTTLExpression, Pattern)
    case text(Search, OTTLExpression, OTTLExpression)
    case isKind(Kind, OTTLExpression)
    case isRootSpan

    enum Search: Sendable { case hasPrefix, hasSuffix, contains }
    enum Kind: Sendable { case string, int, double, bool, map, list }

    func holds(_ subject: OTTLSubject) throws(OTTLFailure) -> Bool {
        switch self {
        case .constant(let value): return value
        case .compare(let comparison, let left, let right): return comparison.holds(try left.value(subject), try right.value(subject))
        case .and(let left, let right):
            guard try left.holds(subject) else { return false }
            return try right.holds(subject)
        case .or(let left, let right):
            if try left.holds(subject) { return true }
            return try right.holds(subject)
        case .not(let test): return try !test.holds(subject)
        case .matches(let expression, let pattern):
            // Numbers and booleans are matched by their text; what is missing matches nothing.
            return OTTLExpression.text(try expression.value(subject)).withText { pattern.matches($0) } ?? false
        case .text(let search, let expression, let part):
            let text = try expression.value(subject)
            if case .none = text { return false }
            let part = try part.value(subject)
            let found = text.withText { text in part.withText { part in search.finds(part, in: text) } }.flatMap { $0 }
            guard let found else { throw .wrongType }
            return found
        case .isKind(let kind, let expression): return kind.isKind(of: try expression.value(subject))
        case .isRootSpan: return subject.span.parentSpanID == nil
        }
    }
}

extension OTTLTest.Search {
    fileprivate func finds(_ part: WireBytes, in text: WireBytes) -> Bool {
        guard part.count <= text.count else { return false }
        switch self {
        case .hasPrefix: return text.prefix(part.count).elementsEqual(part)
        case .hasSuffix: return text.suffix(part.count).elementsEqual(part)
        case .contains: return Self.contains(part, in: text)
        }
    }

    /// Jumps from one occurrence of the first byte to the next.
    private static func contains(_ part: WireBytes, in text: WireBytes) -> Bool {
        guard let first = part.first, let wanted = part.baseAddress else { return true }
        var rest = text
        while rest.count >= part.count, let start = rest.baseAddress {
            guard let found = memchr(start, Int32(first), rest.count - part.count + 1) else { return false }
            if memcmp(found, wanted, part.count) == 0 { return true }
            rest = WireBytes(rebasing: rest[(UnsafeRawPointer(found) - start + 1)...])
        }
        return false
    }
}

extension OTTLTest.Kind {
    fileprivate func isKind(of value: OTTLValue) -> Bool {
        switch (self, value) {
        case (.string, .string), (.string, .madeString), (.int, .int), (.double, .double), (.bool, .bool), (.map, .map), (.list, .array):
            true
        default: false
        }
    }
}
