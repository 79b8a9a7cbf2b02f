import Glibc
import OTLPWire

/// The attribute keys that fill columns, in the order of the GenAI contract: of a column's keys the first present wins, and
/// they stand in a row here, so that "first present" is the lowest bit of a mask.
///
/// A key is looked up by a perfect hash over its length and 24 of its bytes, found when the vocabulary is made, and one
/// comparison. One attribute in ten of ordinary traffic is known, so what matters is how soon the others are passed over.
struct Vocabulary: @unchecked Sendable {
    /// A set of keys, one bit each.
    typealias Mask = UInt128

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

    /// Per column, its keys.
    private let masks: [Mask]
    /// Per key, its place in `keys` of its column: which source it is.
    private let firstIndexes: [Int]
    private let keys: [StaticString]
    private let slots: UnsafeMutablePointer<UInt8>
    private let multiplier: UInt64

    static let keysMax = 128
    private static let noKey: UInt8 = 0xFF
    private static let slotBits: UInt64 = 12
    private static let keyBytesMin = 7

    /// The number of the key, or nil when it is none of ours.
    @inline(__always)
    func number(of key: WireBytes) -> Int? {
        guard key.count >= Self.keyBytesMin, let start = key.baseAddress else { return nil }
        let slot = slots[Self.slot(start, key.count, multiplier)]
        guard slot != Self.noKey else { return nil }
        return keys.withUnsafeBufferPointer { key.matches($0[Int(slot)]) } ? Int(slot) : nil
    }

    @inline(__always)
    func mask(_ column: Column) -> Mask { masks[column.rawValue] }

    @inline(__always)
    func bit(_ column: Column) -> Int { firstIndexes[column.rawValue] }

    /// Of the first eight bytes, the last eight and eight in the middle. Keys of seven bytes are read in two overlapping halves.
    @inline(__always)
    private static func slot(_ start: UnsafeRawPointer, _ count: Int, _ multiplier: UInt64) -> Int {
        let first: UInt64
        let middle: UInt64
        let last: UInt64
        if count >= 8 {
            first = start.loadUnaligned(as: UInt64.self)
            middle = start.loadUnaligned(fromByteOffset: (count - 8) / 2 + (count - 8) / 8, as: UInt64.self)
            last = start.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        } else {
            first = UInt64(start.loadUnaligned(as: UInt32.self))
            middle = 0
            last = UInt64(start.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        }
        let mixed = (first ^ UInt64(count)) &* multiplier ^ (middle &* (multiplier | 1)).byteSwapped ^ last &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: (mixed &* multiplier) >> (64 - slotBits))
    }

    private init() {
        var keys: [StaticString] = []
        var masks: [Mask] = []
        var firstIndexes: [Int] = []
        for column in Column.allCases {
            firstIndexes.append(keys.count)
            var mask: Mask = 0
            for key in column.keys {
                mask |= 1 << Mask(keys.count)
                keys.append(key)
            }
            masks.append(mask)
        }
        precondition(keys.count <= Self.keysMax)
        precondition(keys.allSatisfy { $0.utf8CodeUnitCount >= Self.keyBytesMin })
        self.keys = keys
        self.masks = masks
        self.firstIndexes = firstIndexes
        slots = .allocate(capacity: 1 << Self.slotBits)
        // The same search with the same result in every process. One in three multipliers does.
        var candidate: UInt64 = 0x2545_F491_4F6C_DD1D
        while !Self.fill(slots, keys, candidate) { candidate = candidate &* 0x5851_F42D_4C95_7F2D &+ 0x1405_7B7E_F767_814F }
        multiplier = candidate
    }

    private static func fill(_ slots: UnsafeMutablePointer<UInt8>, _ keys: [StaticString], _ multiplier: UInt64) -> Bool {
        slots.initialize(repeating: noKey, count: 1 << slotBits)
        for (number, key) in keys.enumerated() {
            let slot = slot(key.utf8Start, key.utf8CodeUnitCount, multiplier)
            guard slots[slot] == noKey else { return false }
            slots[slot] = UInt8(truncatingIfNeeded: number)
        }
        return true
    }
}

extension Vocabulary {
    /// Families of keys with a number in them, as bits: which of them a span has.
    enum Indexed {
        static let prompt: UInt8 = 1, completion: UInt8 = 2, inputMessages: UInt8 = 4, outputMessages: UInt8 = 8
        static let prompts: UInt8 = 16, choices: UInt8 = 32, embeddings: UInt8 = 64

        /// The first eight bytes of their prefixes, as a little-endian word.
        private static let genAIPrompt: UInt64 = 0x702E_6961_5F6E_6567  // gen_ai.p
        private static let genAICompletion: UInt64 = 0x632E_6961_5F6E_6567  // gen_ai.c
        private static let llmInput: UInt64 = 0x7570_6E69_2E6D_6C6C  // llm.inpu
        private static let llmOutput: UInt64 = 0x7074_756F_2E6D_6C6C  // llm.outp
        private static let llmPrompts: UInt64 = 0x6D6F_7270_2E6D_6C6C  // llm.prom
        private static let llmChoices: UInt64 = 0x696F_6863_2E6D_6C6C  // llm.choi
        private static let embedding: UInt64 = 0x6E69_6464_6562_6D65  // embeddin

        /// The shortest prefix of these, and something behind it.
        private static let bytesMin = 13

        private static func word(_ text: StaticString) -> UInt64 {
            UnsafeRawPointer(text.utf8Start).loadUnaligned(as: UInt64.self)
        }

        /// The family of a key that `Vocabulary` does not know; 0 when it has none.
        @inline(__always)
        static func family(of key: WireBytes) -> UInt8 {
            guard key.count > bytesMin, let start = key.baseAddress else { return 0 }
            switch UInt64(littleEndian: start.loadUnaligned(as: UInt64.self)) {
            case genAIPrompt: return has(key, .indexedPrompt, .input) ? prompt : 0
            case genAICompletion: return has(key, .indexedPrompt, .output) ? completion : 0
            case llmInput: return has(key, .indexedMessages, .input) ? inputMessages : 0
            case llmOutput: return has(key, .indexedMessages, .output) ? outputMessages : 0
            case llmPrompts: return has(key, .indexedTexts, .input) ? prompts : 0
            case llmChoices: return has(key, .indexedTexts, .output) ? choices : 0
            case embedding: return has(key, .embeddings, .input) ? embeddings : 0
            default: return 0
            }
        }

        private static func has(_ key: WireBytes, _ source: GenAIContentSource, _ side: GenAIContentSource.Side) -> Bool {
            GenAIIndexedKey(key, source, side) != nil
        }
    }

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
