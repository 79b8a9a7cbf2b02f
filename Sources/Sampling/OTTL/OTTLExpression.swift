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
    case letterCase(OTTLExpression, isUpper: Bool)
    /// Bytes from a start on, so many.
    case part(OTTLExpression, OTTLExpression, OTTLExpression)
    /// A number of nanoseconds in another unit, with fractions or cut to whole ones.
    case inUnits(OTTLExpression, of: Int64, isWhole: Bool)

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
        case .letterCase(let operand, let isUpper): return try Self.letterCase(operand.value(subject), isUpper)
        case .part(let operand, let start, let length):
            return try Self.part(operand.value(subject), start.value(subject), length.value(subject))
        case .inUnits(let operand, let unit, let isWhole):
            guard case .int(let nanoseconds) = try operand.value(subject) else { throw .wrongType }
            return isWhole ? .int(nanoseconds / unit) : .double(Double(nanoseconds) / Double(unit))
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
        case .items(let count): return Int64(count)
        case .none, .bool, .int, .double: throw .wrongType
        }
    }

    /// ASCII letters only: instrumentations write no others where case varies.
    private static func letterCase(_ value: OTTLValue, _ isUpper: Bool) throws(OTTLFailure) -> OTTLValue {
        let letters = isUpper ? UInt8(ascii: "a")...UInt8(ascii: "z") : UInt8(ascii: "A")...UInt8(ascii: "Z")
        guard let changed = value.withText({ $0.map { letters.contains($0) ? $0 ^ 0x20 : $0 } }) else { throw .wrongType }
        return .madeString(changed)
    }

    private static func part(_ value: OTTLValue, _ start: OTTLValue, _ length: OTTLValue) throws(OTTLFailure) -> OTTLValue {
        guard case .int(let start) = start, case .int(let length) = length else { throw .wrongType }
        let bytes = value.withText { text -> [UInt8]? in
            guard start >= 0, length > 0, start <= text.count, length <= Int64(text.count) - start else { return nil }
            return Array(text[Int(start)..<Int(start + length)])
        }
        guard let bytes else { throw .wrongType }
        guard let bytes else { throw .outOfRange }
        return .madeString(bytes)
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
        case .none, .bytes, .madeBytes, .map, .array, .items: .none
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
    /// A list has an element equal to a value.
    case containsValue(OTTLExpression, OTTLExpression)
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
            let part = try part.value(subject)
            let found = text.withText { text in part.withText { part in search.finds(part, in: text) } }.flatMap { $0 }
            guard let found else { throw .wrongType }
            return found
        case .containsValue(let list, let wanted):
            guard case .array(let elements) = try list.value(subject) else { throw .wrongType }
            let wanted = try wanted.value(subject)
            return elements.contains { OTTLComparison.equal.holds(OTTLValue($0), wanted) }
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
        case (.string, .string), (.string, .madeString), (.int, .int), (.double, .double), (.bool, .bool), (.map, .map), (.list, .array),
            (.list, .items):
            true
        default: false
        }
    }
}
