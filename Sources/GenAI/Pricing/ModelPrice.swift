import OTLPWire

/// What a model costs, US dollars per token.
public struct ModelPrice: Sendable, Equatable {
    public struct Rates: Sendable, Equatable {
        public var input: Double?
        public var output: Double?
        public var cacheRead: Double?
        public var cacheWrite: Double?
        public var reasoning: Double?

        public init() {}

        var isEmpty: Bool { input == nil && output == nil && cacheRead == nil && cacheWrite == nil && reasoning == nil }

        /// These, and what they lack from `base`.
        func over(_ base: Rates) -> Rates {
            var rates = self
            rates.input = input ?? base.input
            rates.output = output ?? base.output
            rates.cacheRead = cacheRead ?? base.cacheRead
            rates.cacheWrite = cacheWrite ?? base.cacheWrite
            rates.reasoning = reasoning ?? base.reasoning
            return rates
        }
    }

    public struct Tier: Sendable, Equatable {
        /// Holds for prompts of more tokens than this.
        public var above: Int64
        public var rates: Rates

        public init(above: Int64, rates: Rates) {
            self.above = above
            self.rates = rates
        }
    }

    public var base = Rates()
    /// By ascending threshold; the highest that the prompt passes wins. Also holds LiteLLM's `tiered_pricing`, whose lists have no
    /// gaps: low < tokens <= high is "the highest threshold below".
    public var tiers: [Tier] = []

    public init() {}

    /// Prices for a prompt of so many tokens, what came from a cache included.
    func rates(promptTokens: Int64) -> Rates {
        guard let tier = tiers.last(where: { promptTokens > $0.above }) else { return base }
        return tier.rates.over(base)
    }

    /// The cost of one call; nil when a price is missing for tokens that were used. Formula: GenAI contract, "Cost, USD".
    public func cost(of usage: TokenUsage) -> CallCost? {
        let cachedInAll = usage.cached + usage.cacheWrite
        // What is larger than the whole cannot be part of it.
        let isExcluded = usage.excludesCached || cachedInAll > usage.prompt
        let rates = rates(promptTokens: isExcluded ? usage.prompt + cachedInAll : usage.prompt)
        let plain = isExcluded ? usage.prompt : usage.prompt - cachedInAll
        guard rates.input != nil || usage.prompt + cachedInAll == 0, rates.output != nil || usage.completion == 0 else { return nil }
        let input = rates.input ?? 0
        let output = rates.output ?? 0
        let prompt =
            input * Double(plain) + (rates.cacheRead ?? input) * Double(usage.cached)
            + (rates.cacheWrite ?? input) * Double(usage.cacheWrite)
        var completion = output * Double(usage.completion)
        if let reasoning = rates.reasoning, usage.reasoning <= usage.completion {
            completion = output * Double(usage.completion - usage.reasoning) + reasoning * Double(usage.reasoning)
        }
        return CallCost(prompt: prompt, completion: completion)
    }
}

/// The tokens of one call, 0 where not told.
public struct TokenUsage: Sendable, Equatable {
    public var prompt: Int64 = 0
    public var completion: Int64 = 0
    public var cached: Int64 = 0
    public var cacheWrite: Int64 = 0
    public var reasoning: Int64 = 0
    /// `prompt` leaves out what was read from and written to the cache.
    public var excludesCached = false

    public init() {}
}

/// US dollars.
public struct CallCost: Sendable, Equatable {
    public var prompt: Double
    public var completion: Double
    public var total: Double { prompt + completion }
}
