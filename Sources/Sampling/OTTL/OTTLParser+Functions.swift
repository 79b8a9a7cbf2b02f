import Configuration
import Patterns

/// The functions of the language that are built in.
extension OTTLParser {
    private static let names = [
        "Contains", "ContainsValue", "Double", "Duration", "HasPrefix", "HasSuffix", "Hours", "Int", "IsBool", "IsDouble", "IsInt",
        "IsList",
        "IsMap", "IsMatch", "IsRootSpan", "IsString", "Len", "Microseconds", "Milliseconds", "Minutes", "Nanoseconds", "Seconds", "SpanID",
        "String", "Substring", "ToLowerCase", "ToUpperCase", "TraceID", "UnixMicro", "UnixMilli", "UnixNano", "UnixSeconds",
    ]

    /// Durations and times are nanoseconds; these functions give them in other units, as whole numbers or with fractions.
    private static let units: [String: (nanoseconds: Int64, isWhole: Bool)] = [
        "Nanoseconds": (1, true), "Microseconds": (1_000, true), "Milliseconds": (1_000_000, true), "Seconds": (1_000_000_000, false),
        "Minutes": (60_000_000_000, false), "Hours": (3_600_000_000_000, false), "UnixNano": (1, true), "UnixMicro": (1_000, true),
        "UnixMilli": (1_000_000, true), "UnixSeconds": (1_000_000_000, true),
    ]

    /// After the function's name.
    mutating func function(_ name: String, at column: Int) throws(OTTLError) -> Node {
        guard Self.names.contains(name) else {
            let hint = KeySuggestion.hint(for: name, among: Self.names)
            throw OTTLError(
                message: "unknown function \(name)\(hint); built in are \(Self.names.joined(separator: ", "))", column: column)
        }
        let arguments = try arguments()
        switch name {
        case "IsRootSpan":
            try count(arguments, 0, name, column)
            return .test(.isRootSpan)
        case "IsMatch":
            try count(arguments, 2, name, column)
            return .test(.matches(arguments[0].value, try compiled(arguments[1])))
        case "HasPrefix", "HasSuffix", "Contains":
            try count(arguments, 2, name, column)
            let search: OTTLTest.Search = name == "HasPrefix" ? .hasPrefix : name == "HasSuffix" ? .hasSuffix : .contains
            return .test(.text(search, arguments[0].value, arguments[1].value))
        case "ContainsValue":
            try count(arguments, 2, name, column)
            return .test(.containsValue(arguments[0].value, arguments[1].value))
        case "Substring":
            try count(arguments, 3, name, column)
            return .value(.part(arguments[0].value, arguments[1].value, arguments[2].value))
        case "Duration":
            try count(arguments, 1, name, column)
            return .value(.literal(.int(try duration(arguments[0]))))
        case "TraceID", "SpanID":
            try count(arguments, 1, name, column)
            return .value(.literal(.bytes(try id(arguments[0], bytes: name == "TraceID" ? 16 : 8))))
        default:
            try count(arguments, 1, name, column)
            return unary(name, arguments[0].value)
        }
    }

    private func unary(_ name: String, _ operand: OTTLExpression) -> Node {
        if let unit = Self.units[name] { return .value(.inUnits(operand, of: unit.nanoseconds, isWhole: unit.isWhole)) }
        return switch name {
        case "Len": .value(.length(operand))
        case "Int": .value(.int(operand))
        case "Double": .value(.double(operand))
        case "String": .value(.text(operand))
        case "ToLowerCase": .value(.letterCase(operand, isUpper: false))
        case "ToUpperCase": .value(.letterCase(operand, isUpper: true))
        case "IsString": .test(.isKind(.string, operand))
        case "IsInt": .test(.isKind(.int, operand))
        case "IsDouble": .test(.isKind(.double, operand))
        case "IsBool": .test(.isKind(.bool, operand))
        case "IsMap": .test(.isKind(.map, operand))
        default: .test(.isKind(.list, operand))
        }
    }

    private struct Argument {
        let value: OTTLExpression
        let column: Int
    }

    private mutating func arguments() throws(OTTLError) -> [Argument] {
        try expect("(")
        var arguments: [Argument] = []
        if takes(")") { return arguments }
        repeat {
            let column = current.column
            let node = try nested { (parser) throws(OTTLError) in try parser.argument() }
            arguments.append(Argument(value: try value(node, at: column), column: column))
        } while takes(",")
        try expect(")")
        return arguments
    }

    private func count(_ arguments: [Argument], _ wanted: Int, _ name: String, _ column: Int) throws(OTTLError) {
        guard arguments.count == wanted else {
            throw OTTLError(
                message: "\(name) takes \(wanted) argument\(wanted == 1 ? "" : "s"), not \(arguments.count)", column: column)
        }
    }

    private func text(_ argument: Argument, _ what: String) throws(OTTLError) -> String {
        guard case .literal(.string(let text)) = argument.value else {
            throw OTTLError(message: "\(what) must be a string in double quotes", column: argument.column)
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func compiled(_ argument: Argument) throws(OTTLError) -> Pattern {
        let text = try text(argument, "the pattern")
        do throws(PatternProblem) {
            return try Pattern(text)
        } catch {
            throw OTTLError(message: error.description, column: argument.column)
        }
    }

    /// A duration as Go writes them (`1m30s`, `250ms`), in nanoseconds.
    private func duration(_ argument: Argument) throws(OTTLError) -> Int64 {
        let units: [(name: String, nanoseconds: Double)] = [
            ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
        ]
        var rest = Substring(try text(argument, "the duration"))
        var total = 0.0
        let problem = OTTLError(message: "a duration looks like 250ms or 1m30s", column: argument.column)
        guard !rest.isEmpty else { throw problem }
        while !rest.isEmpty {
            let number = rest.prefix { $0.isNumber || $0 == "." }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let value = Double(number), let factor = units.first(where: { $0.name == unit })?.nanoseconds else { throw problem }
            total += value * factor
        }
        guard let nanoseconds = Int64(exactly: total.rounded()) else { throw problem }
        return nanoseconds
    }

    private func id(_ argument: Argument, bytes count: Int) throws(OTTLError) -> [UInt8] {
        if case .literal(.bytes(let bytes)) = argument.value, bytes.count == count { return bytes }
        if case .literal(.string(let text)) = argument.value {
            let digits = text.compactMap { Character(UnicodeScalar($0)).hexDigitValue.map(UInt8.init) }
            if digits.count == text.count, digits.count == 2 * count {
                return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
            }
        }
        throw OTTLError(message: "an id of \(count) bytes is wanted: 0x… or \(2 * count) hexadecimal digits", column: argument.column)
    }
}
