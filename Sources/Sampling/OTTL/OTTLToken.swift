/// What is wrong with an OTTL condition, and where.
public struct OTTLError: Error, Equatable, CustomStringConvertible {
    public let message: String
    /// In characters, from 1.
    public let column: Int

    public var description: String { "column \(column): \(message)" }
}

/// One word of a condition with its place.
struct OTTLToken: Equatable {
    enum Kind: Equatable {
        /// Lower-case start: path segments, `and`, `or`, `not`, `true`, `false`, `nil`.
        case word(String)
        /// Upper-case start and a lower-case letter in it: a function.
        case function(String)
        /// Upper case throughout: an enum such as `STATUS_CODE_ERROR`.
        case constant(String)
        case string(String)
        case int(Int64)
        case double(Double)
        case bytes([UInt8])
        /// `== != < <= > >= + - * / ( ) [ ] { } , . :`
        case symbol(String)
        case end
    }

    let kind: Kind
    let column: Int
}

/// Splits a condition into tokens.
struct OTTLLexer {
    private let characters: [Character]
    private var index = 0

    /// Characters of a condition: far more than anybody writes by hand.
    static let charactersMax = 16_384

    static func tokens(of text: String) throws(OTTLError) -> [OTTLToken] {
        var lexer = OTTLLexer(text)
        guard lexer.characters.count <= charactersMax else {
            throw OTTLError(message: "a condition may have \(charactersMax) characters", column: charactersMax)
        }
        var tokens: [OTTLToken] = []
        while true {
            let token = try lexer.next()
            tokens.append(token)
            if token.kind == .end { return tokens }
        }
    }

    private init(_ text: String) {
        characters = Array(text)
    }

    private var current: Character? { index < characters.count ? characters[index] : nil }

    private func ahead(_ count: Int) -> Character? { index + count < characters.count ? characters[index + count] : nil }

    private mutating func next() throws(OTTLError) -> OTTLToken {
        while let character = current, character.isWhitespace { index += 1 }
        let column = index + 1
        guard let character = current else { return OTTLToken(kind: .end, column: column) }
        if character == "\"" { return OTTLToken(kind: .string(try string()), column: column) }
        if character == "0", ahead(1) == "x" { return OTTLToken(kind: try bytes(), column: column) }
        if Self.isDigit(character) || character == "." && ahead(1).map(Self.isDigit) == true {
            return OTTLToken(kind: try number(), column: column)
        }
        if character.isASCII, character.isLetter { return OTTLToken(kind: word(), column: column) }
        return OTTLToken(kind: .symbol(try symbol()), column: column)
    }

    private static func isDigit(_ character: Character) -> Bool { ("0"..."9").contains(character) }

    private mutating func string() throws(OTTLError) -> String {
        let start = index + 1
        index += 1
        var text = ""
        while let character = current {
            index += 1
            if character == "\"" { return text }
            guard character == "\\" else {
                text.append(character)
                continue
            }
            guard let escaped = current else { break }
            index += 1
            switch escaped {
            case "n": text.append("\n")
            case "t": text.append("\t")
            case "r": text.append("\r")
            case "\"", "\\": text.append(escaped)
            // As in the contrib's grammar, other escapes stay: regular expressions are written with single backslashes.
            default: text += "\\" + String(escaped)
            }
        }
        throw OTTLError(message: "the string is not closed", column: start)
    }

    private mutating func bytes() throws(OTTLError) -> OTTLToken.Kind {
        let start = index
        index += 2
        var digits: [UInt8] = []
        while let character = current, let digit = character.hexDigitValue {
            digits.append(UInt8(digit))
            index += 1
        }
        guard !digits.isEmpty, digits.count.isMultiple(of: 2) else {
            throw OTTLError(message: "bytes are 0x and an even number of hexadecimal digits", column: start + 1)
        }
        return .bytes(stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
    }

    private mutating func number() throws(OTTLError) -> OTTLToken.Kind {
        let start = index
        while let character = current, Self.isDigit(character) { index += 1 }
        var isDouble = false
        if current == ".", ahead(1).map(Self.isDigit) == true || index > start && ahead(1).map({ !$0.isLetter }) ?? true {
            isDouble = true
            index += 1
            while let character = current, Self.isDigit(character) { index += 1 }
        }
        if current == "e" || current == "E" {
            isDouble = true
            index += 1
            if current == "+" || current == "-" { index += 1 }
            while let character = current, Self.isDigit(character) { index += 1 }
        }
        let text = String(characters[start..<index])
        if isDouble, let value = Double(text), value.isFinite { return .double(value) }
        if !isDouble, let value = Int64(text) { return .int(value) }
        throw OTTLError(message: "not a number that fits", column: start + 1)
    }

    private mutating func word() -> OTTLToken.Kind {
        let start = index
        while let character = current, character.isASCII, character.isLetter || Self.isDigit(character) || character == "_" { index += 1 }
        let text = String(characters[start..<index])
        guard characters[start].isUppercase else { return .word(text) }
        return text.contains(where: \.isLowercase) ? .function(text) : .constant(text)
    }

    private mutating func symbol() throws(OTTLError) -> String {
        let column = index + 1
        let character = characters[index]
        if "=!<>".contains(character), ahead(1) == "=" {
            index += 2
            return "\(character)="
        }
        guard "<>+-*/()[]{},.:".contains(character) else {
            let hint = character == "=" ? "; equality is ==" : character == "'" ? "; strings are in double quotes" : ""
            throw OTTLError(message: "unexpected character '\(character)'\(hint)", column: column)
        }
        index += 1
        return String(character)
    }
}
