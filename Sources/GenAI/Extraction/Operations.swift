import OTLPWire

/// The kinds of operation that are one call of a model each. Spans of other kinds (agents, chains, tools) repeat their
/// children's numbers.
enum Operations {
    private static let calls: [StaticString] = [
        "chat", "text_completion", "generate_content", "completion", "completions", "embeddings", "embedding", "llm", "generation",
        "rerank", "reranker", "responses",
    ]

    /// Operations that have no answer in tokens: their total is the prompt.
    private static let embeddings: [StaticString] = ["embeddings", "embedding"]

    private static let bytesMax = 16

    /// The operation's name in lower case when it is a call of a model.
    @inline(__always)
    static func call(_ operation: WireBytes) -> StaticString? {
        guard operation.count <= bytesMax else { return nil }
        for name in calls where matches(operation, name) { return name }
        return nil
    }

    static func isEmbedding(_ operation: WireBytes) -> Bool {
        embeddings.contains { operation.matches($0) }
    }

    @inline(__always)
    private static func matches(_ text: WireBytes, _ name: StaticString) -> Bool {
        guard text.count == name.utf8CodeUnitCount else { return false }
        for index in 0..<text.count where lowercased(text[index]) != name.utf8Start[index] { return false }
        return true
    }

    @inline(__always)
    private static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}
