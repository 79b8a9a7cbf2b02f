/// Bounds of this module.
enum GenAILimits {
    /// A larger count is no count: the greatest whole number that a double still tells from its neighbours.
    static let tokensMax: Int64 = 1 << 53
    /// US dollars of one call; more is a mistake in the sender's units, and sums would never recover from it.
    static let costMaxUSD = 1e9
    /// Names of providers and models that are looked at; the columns keep 256 bytes.
    static let nameBytesMax = 512
    /// Digits of a number that came as text.
    static let numberTextBytesMax = 64
    /// Distinct (provider, model) pairs whose price is remembered; 300 bytes each. Others are looked up each time.
    static let pricedModelsMax = 4_096
    /// Distinct (provider, model) pairs with metric series of their own; the rest is counted as `other`.
    static let metricModelsMax = 200
    /// Bytes of a price file; LiteLLM's has 3 MiB.
    static let priceFileBytesMax = 32 * 1024 * 1024
    /// Models in one price table; LiteLLM's has 3,000.
    static let pricesMax = 100_000
    /// Tiers of one price; real ones have up to four.
    static let tiersMax = 32
    /// US dollars per token; the dearest model takes 0.0006.
    static let pricePerTokenMaxUSD = 1.0
}
