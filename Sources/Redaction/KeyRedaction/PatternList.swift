import OTLPWire
import Patterns

/// Patterns of which any may match. Whether one does is asked of all at once: one pass over the text instead of one for each.
struct PatternList: Sendable {
    let patterns: [Pattern]
    /// Nil when they cannot be joined; then they are asked one by one.
    private let joined: Pattern?

    init(_ texts: [String], compiled: [Pattern]) {
        patterns = compiled
        // Quoting may run on to the end of a pattern, and over the joint. Groups of the same name cannot stand in one pattern.
        let isSafe = texts.count > 1 && texts.count == compiled.count && !texts.contains { $0.contains(#"\Q"#) }
        joined = isSafe ? try? Pattern(texts.map { "(?:\($0))" }.joined(separator: "|")) : nil
    }

    @inline(__always)
    func findsNothing(in text: WireBytes) -> Bool {
        if patterns.isEmpty { return true }
        if let joined { return !joined.matches(text) }
        return !patterns.contains { $0.matches(text) }
    }
}
