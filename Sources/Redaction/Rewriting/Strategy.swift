import Patterns

/// What is put in the place of a sensitive value.
public enum Strategy: String, CaseIterable, Sendable {
    /// `sha256:` and 16 hexadecimal digits of a keyed hash: equal values get equal tokens.
    case hash
    /// As many `*` as the value has characters.
    case mask
    /// Nothing; an attribute that is nothing but the value goes too.
    case remove
    /// The kind: `<EMAIL>`.
    case replace
    /// `*` for all but the last four characters.
    case partial
}

/// A detector of the user's own.
public struct CustomDetector: Sendable {
    public let name: String
    public let pattern: Pattern
    public let strategy: Strategy

    public init(name: String, pattern: Pattern, strategy: Strategy) {
        self.name = name
        self.pattern = pattern
        self.strategy = strategy
    }

    /// `<ORDER_NUMBER>`
    var placeholder: [UInt8] { Array("<\(name.uppercased())>".utf8) }
}
