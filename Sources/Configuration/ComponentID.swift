/// `type` or `type/name`: names one configured component. Several of one type differ by name.
public struct ComponentID: Hashable, Sendable, CustomStringConvertible {
    public let type: String
    /// Empty when only the type is written.
    public let name: String

    public init(type: String, name: String = "") {
        self.type = type
        self.name = name
    }

    /// Nil unless the type is a letter followed by letters, digits and `_`, and the name (when there is a slash) is not empty: the Go
    /// collector's rule. Blanks around both are ignored.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(Self.trimmed)
        guard let type = parts.first, let first = type.utf8.first, Self.isLetter(first) else { return nil }
        let valid = type.utf8.allSatisfy { Self.isLetter($0) || $0 == UInt8(ascii: "_") || (48...57).contains($0) }
        guard valid, parts.count == 1 || !parts[1].isEmpty else { return nil }
        guard parts.count == 1 || parts[1].unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else { return nil }
        self.init(type: type, name: parts.count == 2 ? parts[1] : "")
    }

    public var description: String { name.isEmpty ? type : "\(type)/\(name)" }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
