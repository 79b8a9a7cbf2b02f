/// A value of the configuration with its place in the source: what YAML, `--set` and `${…}` all become.
struct ConfigNode {
    struct Entry {
        var key: String
        var keyLocation: SourceLocation
        var value: ConfigNode
    }

    enum Content {
        case null
        case bool(Bool)
        case int(Int)
        case double(Double)
        case string(String)
        case sequence([ConfigNode])
        case mapping([Entry])
    }

    var content: Content
    var location: SourceLocation
    /// Set when the value came from `${…}`: its text as it was there. A key that wants text gets this (so a password `0123` keeps its
    /// zero), a key that wants a number gets `content`.
    var expandedText: String?

    init(_ content: Content, at location: SourceLocation) {
        self.content = content
        self.location = location
    }

    /// The kind of value, for messages.
    var kind: String {
        switch content {
        case .null: "nothing"
        case .bool: "true/false"
        case .int, .double: "a number"
        case .string: "a text"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    var isNull: Bool {
        if case .null = content { true } else { false }
    }
}

extension ConfigNode.Content {
    /// The type of a plain (unquoted) scalar as the Go collector's YAML library resolves it for untyped values: `yes` and `on` stay
    /// texts, `0x`, `0o`, `0b` and a leading zero (octal) are numbers.
    init(plainScalar text: String) {
        switch text {
        case "", "~", "null", "Null", "NULL": self = .null
        case "true", "True", "TRUE": self = .bool(true)
        case "false", "False", "FALSE": self = .bool(false)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": self = .double(.infinity)
        case "-.inf", "-.Inf", "-.INF": self = .double(-.infinity)
        case ".nan", ".NaN", ".NAN": self = .double(.nan)
        default:
            if let int = Self.integer(text) {
                self = .int(int)
            } else if let double = Self.fraction(text) {
                self = .double(double)
            } else {
                self = .string(text)
            }
        }
    }

    private static func integer(_ text: String) -> Int? {
        var digits = text.utf8.filter { $0 != UInt8(ascii: "_") }[...]
        var negative = false
        if let sign = digits.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            negative = sign == UInt8(ascii: "-")
            digits = digits.dropFirst()
        }
        guard let first = digits.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return nil }
        var radix = 10
        if first == UInt8(ascii: "0"), digits.count > 1 {
            switch digits[digits.startIndex + 1] {
            case UInt8(ascii: "x"), UInt8(ascii: "X"): (radix, digits) = (16, digits.dropFirst(2))
            case UInt8(ascii: "o"), UInt8(ascii: "O"): (radix, digits) = (8, digits.dropFirst(2))
            case UInt8(ascii: "b"), UInt8(ascii: "B"): (radix, digits) = (2, digits.dropFirst(2))
            default: (radix, digits) = (8, digits.dropFirst())
            }
        }
        guard let lead = digits.first, lead != UInt8(ascii: "-"), lead != UInt8(ascii: "+") else { return nil }
        return Int((negative ? "-" : "") + String(decoding: digits, as: UTF8.self), radix: radix)
    }

    /// Decimal fractions and exponents only: `Double.init` alone would also take `nan`, `infinity` and hexadecimal.
    private static func fraction(_ text: String) -> Double? {
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "_"): true
            default: false
            }
        }
        guard allowed else { return nil }
        return Double(text.filter { $0 != "_" })
    }
}
