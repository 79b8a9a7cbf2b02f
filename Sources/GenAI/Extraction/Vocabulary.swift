import OTLPWire

/// The attribute keys that fill columns, in the order of the GenAI contract: of a column's keys the first present wins, and
/// they stand in a row here, so that "first present" is the lowest bit of a mask.
struct Vocabulary: Sendable {
    typealias Mask = AttributeKeyIndex.Mask

    enum Column: Int, CaseIterable {
        case provider, model, operation, user, session
        /// The Vercel AI SDK's own counters come after the JSON ones of Langfuse.
        case promptTokens, promptTokensLast, completionTokens, completionTokensLast
        case totalTokens, cachedTokens, cacheWriteTokens, reasoningTokens
        case totalCost, promptCost, completionCost
        case timeToFirstChunk, completionStart, serverFirstToken
        case finishReason, responseID
        case input, output, systemInstructions
        /// JSON texts, each with an entry of its own, for what the columns' own keys do not say.
        case invocationParameters, metadata, usageDetails, rawUsage, costDetails, observationMetadata

        var keys: [StaticString] { Vocabulary.keys(self) }
    }

    static let shared = Vocabulary()

    let index: AttributeKeyIndex
    /// Per column, its keys.
    private let masks: [Mask]
    /// Per column, the number of its first key.
    private let firstNumbers: [Int]

    @inline(__always)
    func mask(_ column: Column) -> Mask { masks[column.rawValue] }

    @inline(__always)
    func bit(_ column: Column) -> Int { firstNumbers[column.rawValue] }

    private init() {
        var keys: [StaticString] = []
        var masks: [Mask] = []
        var firstNumbers: [Int] = []
        for column in Column.allCases {
            firstNumbers.append(keys.count)
            var mask: Mask = 0
            for key in column.keys {
                mask |= 1 << Mask(keys.count)
                keys.append(key)
            }
            masks.append(mask)
        }
        index = AttributeKeyIndex(keys)
        self.masks = masks
        self.firstNumbers = firstNumbers
    }
}

extension Vocabulary {
    private static func keys(_ column: Column) -> [StaticString] {
        switch column {
        case .provider: ["gen_ai.provider.name", "gen_ai.system", "llm.system", "llm.provider"]
        case .model:
            [
                "gen_ai.response.model", "llm.response.model_name", "gen_ai.request.model", "llm.model_name", "llm.request.model_name",
                "embedding.model_name", "langfuse.observation.model.name", "ai.model.id",
            ]
        case .operation:
            [
                "gen_ai.operation.name", "openinference.span.kind", "llm.request.type", "traceloop.span.kind",
                "langfuse.observation.type",
            ]
        case .user: GenAIUserSource.allCases.filter { $0 != .none && $0.members.isEmpty }.map(\.key)
        case .session: GenAISessionSource.allCases.filter { $0 != .none && $0.members.isEmpty }.map(\.key)
        case .promptTokens:
            [
                "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens",
            ]
        case .promptTokensLast: ["ai.usage.promptTokens"]
        case .completionTokensLast: ["ai.usage.completionTokens"]
        case .completionTokens:
            [
                "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
                "llm.usage.completion_tokens",
            ]
        case .totalTokens: ["llm.usage.total_tokens", "gen_ai.usage.total_tokens", "llm.token_count.total"]
        case .cachedTokens:
            [
                "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
                "gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cached_tokens",
                "llm.token_count.prompt_details.cache_read",
            ]
        case .cacheWriteTokens:
            [
                "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
                "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_write_input_tokens",
                "gen_ai.usage.details.cache_write_tokens", "llm.token_count.prompt_details.cache_write",
            ]
        case .reasoningTokens:
            [
                "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens",
                "llm.token_count.completion_details.reasoning",
            ]
        case .totalCost: ["llm.cost.total", "gen_ai.usage.cost", "gen_ai.cost.total_cost", "operation.cost"]
        case .promptCost: ["llm.cost.prompt"]
        case .completionCost: ["llm.cost.completion"]
        case .timeToFirstChunk: ["gen_ai.response.time_to_first_chunk"]
        case .completionStart: ["langfuse.observation.completion_start_time"]
        case .serverFirstToken: ["gen_ai.server.time_to_first_token"]
        case .finishReason:
            [
                "gen_ai.response.finish_reasons", "llm.finish_reason", "gen_ai.response.finish_reason", "anthropic.message.stop_reason",
            ]
        case .responseID: ["gen_ai.response.id"]
        case .input: GenAIContentSource.wholeSources.compactMap { $0.key(.input) }
        case .output: GenAIContentSource.wholeSources.compactMap { $0.key(.output) }
        case .systemInstructions: [GenAIContentSource.systemInstructions]
        case .invocationParameters: [GenAIUserSource.invocationParameters.key]
        case .metadata: [GenAIUserSource.metadata.key]
        case .usageDetails: ["langfuse.observation.usage_details"]
        case .rawUsage: ["gen_ai.usage.raw"]
        case .costDetails: ["langfuse.observation.cost_details"]
        case .observationMetadata: ["langfuse.observation.metadata"]
        }
    }
}

extension GenAIContentSource {
    /// The sources that are one attribute, in the contract's order; the gathered ones come between `prompt` and `entity`.
    static let wholeSources: [GenAIContentSource] = [.messages, .value, .prompt, .entity, .observation]
}
