import Configuration

/// Recursive descent over the tokens of a condition; precedence from weak to strong: `or`, `and`, `not`, comparisons, `+ -`, `* /`.
struct OTTLParser {
    /// What a piece of the text yields, found out before it is known what is asked for: parentheses stand around both.
    enum Node {
        case value(OTTLExpression)
        case test(OTTLTest)
    }

    /// Parentheses, `not` and signs within each other.
    static let depthMax = 64

    let tokens: [OTTLToken]
    var position = 0
    var depth = 0
    let context: OTTLContext
    let takesBareNames: Bool

    static func parse(_ tokens: [OTTLToken], context: OTTLContext, takesBareNames: Bool) throws(OTTLError) -> OTTLTest {
        var parser = OTTLParser(tokens: tokens, context: context, takesBareNames: takesBareNames)
        let column = parser.current.column
        let node = try parser.disjunction()
        guard parser.current.kind == .end else { throw parser.unexpected("an operator or the end") }
        return try parser.test(node, at: column)
    }

    var current: OTTLToken { tokens[position] }

    mutating func advance() {
        if position < tokens.count - 1 { position += 1 }
    }

    mutating func takes(_ symbol: String) -> Bool {
        guard current.kind == .symbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func takesWord(_ word: String) -> Bool {
        guard current.kind == .word(word) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: String) throws(OTTLError) {
        guard takes(symbol) else { throw unexpected("'\(symbol)'") }
    }

    func unexpected(_ wanted: String) -> OTTLError {
        OTTLError(message: "expected \(wanted), found \(current.text)", column: current.column)
    }

    // MARK: Tests

    private mutating func disjunction() throws(OTTLError) -> Node {
        try chain("or", of: { (parser) throws(OTTLError) in try parser.conjunction() }, OTTLTest.or)
    }

    private mutating func conjunction() throws(OTTLError) -> Node {
        try chain("and", of: { (parser) throws(OTTLError) in try parser.negation() }, OTTLTest.and)
    }

    private mutating func chain(
        _ word: String, of part: (inout OTTLParser) throws(OTTLError) -> Node, _ join: (OTTLTest, OTTLTest) -> OTTLTest
    ) throws(OTTLError) -> Node {
        let column = current.column
        var node = try part(&self)
        while takesWord(word) {
            let rightColumn = current.column
            let right = try part(&self)
            node = .test(join(try test(node, at: column), try test(right, at: rightColumn)))
        }
        return node
    }

    private mutating func negation() throws(OTTLError) -> Node {
        guard takesWord("not") else { return try comparison() }
        let column = current.column
        let operand = try nested { (parser) throws(OTTLError) in try parser.negation() }
        return .test(.not(try test(operand, at: column)))
    }

    private mutating func comparison() throws(OTTLError) -> Node {
        let column = current.column
        let left = try sum()
        guard case .symbol(let symbol) = current.kind, let comparison = OTTLComparison(rawValue: symbol) else { return left }
        advance()
        let rightColumn = current.column
        let right = try sum()
        return .test(.compare(comparison, try value(left, at: column), try value(right, at: rightColumn)))
    }

    func test(_ node: Node, at column: Int) throws(OTTLError) -> OTTLTest {
        switch node {
        case .test(let test): return test
        case .value(.literal(.bool(let value))): return .constant(value)
        case .value: throw OTTLError(message: "this is a value and no condition; compare it with something", column: column)
        }
    }

    mutating func argument() throws(OTTLError) -> Node { try sum() }

    // MARK: Values

    func value(_ node: Node, at column: Int) throws(OTTLError) -> OTTLExpression {
        guard case .value(let value) = node else {
            throw OTTLError(message: "this is a condition and cannot be compared", column: column)
        }
        return value
    }

    private mutating func sum() throws(OTTLError) -> Node {
        try arithmetic([.plus, .minus]) { (parser) throws(OTTLError) in
            try parser.arithmetic([.times, .over]) { (parser) throws(OTTLError) in try parser.operand() }
        }
    }

    private mutating func arithmetic(
        _ operations: [OTTLExpression.Arithmetic], _ part: (inout OTTLParser) throws(OTTLError) -> Node
    ) throws(OTTLError) -> Node {
        let column = current.column
        var node = try part(&self)
        while case .symbol(let symbol) = current.kind, let operation = operations.first(where: { $0.rawValue == symbol }) {
            advance()
            let rightColumn = current.column
            let right = try part(&self)
            node = .value(.arithmetic(operation, try value(node, at: column), try value(right, at: rightColumn)))
        }
        return node
    }

    private mutating func operand() throws(OTTLError) -> Node {
        let token = current
        switch token.kind {
        case .string(let text): return literal(.string(Array(text.utf8)))
        case .int(let value): return literal(.int(value))
        case .double(let value): return literal(.double(value))
        case .bytes(let value): return literal(.bytes(value))
        case .constant(let name):
            guard let value = Self.constants[name] else {
                throw OTTLError(message: "unknown enum \(name)", column: token.column)
            }
            return literal(.int(value))
        case .word("true"): return literal(.bool(true))
        case .word("false"): return literal(.bool(false))
        case .word("nil"): return literal(.none)
        case .word: return .value(.path(try path()))
        case .function(let name):
            advance()
            return try function(name, at: token.column)
        case .symbol("("):
            advance()
            let inner = try nested { (parser) throws(OTTLError) in try parser.disjunction() }
            try expect(")")
            return inner
        case .symbol("-"):
            advance()
            let column = current.column
            let operand = try nested { (parser) throws(OTTLError) in try parser.operand() }
            return .value(.negated(try value(operand, at: column)))
        case .symbol, .end: throw unexpected("a value")
        }
    }

    private mutating func literal(_ literal: OTTLLiteral) -> Node {
        advance()
        return .value(.literal(literal))
    }

    mutating func nested(_ body: (inout OTTLParser) throws(OTTLError) -> Node) throws(OTTLError) -> Node {
        guard depth < Self.depthMax else {
            throw OTTLError(message: "nested more than \(Self.depthMax) deep", column: current.column)
        }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    /// The enums of the contrib's span contexts, which are OTLP's numbers.
    private static let constants: [String: Int64] = [
        "STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2, "SPAN_KIND_UNSPECIFIED": 0, "SPAN_KIND_INTERNAL": 1,
        "SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3, "SPAN_KIND_PRODUCER": 4, "SPAN_KIND_CONSUMER": 5,
    ]

    // MARK: Paths

    private mutating func path() throws(OTTLError) -> OTTLPath {
        let start = current.column
        var segments: [String] = []
        repeat {
            guard case .word(let segment) = current.kind else { throw unexpected("a name") }
            segments.append(segment)
            advance()
        } while takes(".")
        let name = segments.joined(separator: ".")
        guard let field = OTTLPath.field(name, in: context, takesBareNames: takesBareNames) else {
            throw OTTLError(message: unknownPath(name), column: start)
        }
        var keys: [OTTLPath.Key] = []
        let bracket = current.column
        while takes("[") {
            switch current.kind {
            case .string(let key): keys.append(.name(Array(key.utf8)))
            case .int(let index) where !keys.isEmpty: keys.append(.index(Int(index)))
            default: throw unexpected("a key in double quotes")
            }
            advance()
            try expect("]")
        }
        let path = OTTLPath(field: field, keys: keys)
        if !keys.isEmpty, !path.takesKeys { throw OTTLError(message: "\(name) has no keys", column: bracket) }
        return path
    }

    private func unknownPath(_ name: String) -> String {
        // A span's is what is mostly meant.
        let owners: [OTTLContext] = [.span, .spanEvent, .scope, .resource]
        if !takesBareNames, let owner = owners.first(where: { OTTLPath.field(name, in: $0, takesBareNames: true) != nil }) {
            return "the path \(name) does not say whose it is; write \(owner.rawValue).\(name)"
        }
        let known = OTTLPath.names(in: context, takesBareNames: takesBareNames)
        return "unknown path \(name)" + KeySuggestion.hint(for: name, among: known)
    }
}

extension OTTLToken {
    /// For messages.
    fileprivate var text: String {
        switch kind {
        case .word(let word), .function(let word), .constant(let word): "'\(word)'"
        case .string: "a string"
        case .int, .double: "a number"
        case .bytes: "bytes"
        case .symbol(let symbol): "'\(symbol)'"
        case .end: "the end"
        }
    }
}
