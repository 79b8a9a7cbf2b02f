/// Refuses text in which aliases could multiply inside mapping keys.
///
/// Aliases as values are harmless while composing (they are shared) and bounded when converted. Keys are different: the YAML library
/// hashes them whole to find duplicates, so an alias bomb used as a key would run for ever. Before composing, only the text is there:
/// the check is coarse, and asks for a file that both has many aliases and puts one, or a collection, into a key.
struct AliasGuard {
    private var aliases = 0
    private var suspect: (line: Int, column: Int)?
    private var line = 1
    private var column = 0
    /// An alias has begun on this line and nothing has ended it: a colon now makes it a key.
    private var inAlias = false

    static func problem(in text: String, file: String) -> ConfigProblem? {
        var guardian = AliasGuard()
        var beforePrevious = UInt8(ascii: "\n")
        var previous = UInt8(ascii: "\n")
        for byte in text.utf8 {
            guardian.take(byte, after: previous, beforePrevious)
            // Blanks between a closing bracket and its colon do not matter.
            if byte == UInt8(ascii: " "), previous == UInt8(ascii: "]") || previous == UInt8(ascii: "}") { continue }
            (beforePrevious, previous) = (previous, byte)
        }
        guard guardian.aliases > ConfigurationLimits.aliasesInKeyedFileMax, let suspect = guardian.suspect else { return nil }
        return ConfigProblem(
            at: SourceLocation(file: file, line: suspect.line, column: suspect.column),
            "a key made of an alias or a collection cannot be used in a file with more than "
                + "\(ConfigurationLimits.aliasesInKeyedFileMax) aliases")
    }

    private mutating func take(_ byte: UInt8, after previous: UInt8, _ beforePrevious: UInt8) {
        column += 1
        if previous == UInt8(ascii: "*"), Self.separates(beforePrevious), !Self.separates(byte) {
            aliases += 1
            inAlias = true
        }
        let closed = previous == UInt8(ascii: "]") || previous == UInt8(ascii: "}")
        let keyed = byte == UInt8(ascii: ":") && (inAlias || closed) || Self.separates(byte) && previous == UInt8(ascii: "?")
        if keyed, suspect == nil { suspect = (line, column) }
        if Self.separates(byte), byte != UInt8(ascii: " ") { inAlias = false }
        if byte == UInt8(ascii: "\n") {
            line += 1
            column = 0
        }
    }

    /// Blanks, line ends and flow indicators: what may stand before an alias, and what ends its name.
    private static func separates(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: ","): true
        case UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "{"), UInt8(ascii: "}"): true
        default: false
        }
    }
}
