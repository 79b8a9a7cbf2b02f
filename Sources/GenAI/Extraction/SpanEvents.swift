import OTLPWire

/// What the events of an LLM call tell: when the first token came, what ended the answer, and whether they hold the messages.
struct SpanEvents {
    private(set) var hasInput = false
    private(set) var hasOutput = false
    private(set) var firstTokenUnixNano: UInt64?
    private(set) var finishReason: WireBytes?

    /// Names of events of a first token; earlier ones win over later ones.
    private static let firstTokens: [StaticString] = [
        "gen_ai.first_token", "gen_ai.content.first_token", "First Token Stream Event", "gen_ai.content.completion.chunk",
    ]

    /// Events that are looked at: streams send one per chunk, and the first ones tell.
    private static let eventsMax = 256

    init(_ span: SpanView) {
        var bestRank = Self.firstTokens.count
        for index in 0..<min(span.eventCount, Self.eventsMax) {
            let event = span.event(at: index)
            guard event.name.count >= 13 else { continue }
            if let rank = Self.firstTokens.firstIndex(where: { event.name.matches($0) }) {
                if rank < bestRank {
                    bestRank = rank
                    firstTokenUnixNano = event.timeUnixNano
                }
            } else if GenAIMessageEvent.isInput(event.name) {
                hasInput = true
            } else if GenAIMessageEvent.isOutput(event.name) {
                hasOutput = true
                if finishReason == nil, let reason = event.attributes.first("finish_reason") { finishReason = TolerantNumber.text(reason) }
            }
        }
    }
}
