import OTLPWire

/// A sampler's policies, compiled: criteria, nodes, and which state each shard needs for them. Shared by all shards, immutable.
struct TailPolicies: Sendable {
    struct Policy: Sendable {
        let name: String
        let node: PolicyNode
        /// A trace for which it holds is dropped, whatever the others say.
        let isDrop: Bool
    }

    enum Limiter: Sendable {
        case spansPerSecond(Double, burst: Double)
        case bytesPerSecond(Double, burst: Double)
        case composite(CompositeLimiter)
    }

    enum Weighted: Sendable {
        case costBudget(spansPerSecond: Double, weight: CostBudget.Weight)
        case dynamic(DynamicRate.Goal, keysMax: Int)
    }

    var policies: [Policy] = []
    var criteria = SpanCriteria()
    var limiters: [Limiter] = []
    var weighted: [Weighted] = []
    /// FNV-1a over the salt of each `salted` source; index = `RandomSource.number`.
    var salts: [UInt64] = []
    var independentSources = 0
    /// `sample_on_first_match`: the first policy that keeps decides, without asking the rest.
    var stopsAtFirstMatch = false

    /// The source of all policies with this salt: they decide alike.
    mutating func saltedSource(_ salt: String) -> RandomSource {
        let hash = FNV1a.of(salt.utf8)
        let number = salts.firstIndex(of: hash) ?? salts.count
        if number == salts.count { salts.append(hash) }
        return RandomSource(kind: .salted, number: number)
    }

    mutating func independentSource() -> RandomSource {
        defer { independentSources += 1 }
        return RandomSource(kind: .independent, number: independentSources)
    }
}

/// What is done with a trace.
struct TailDecision: Equatable {
    let isKept: Bool
    /// Index of the policy that decided; nil when none held.
    let policy: Int?
    /// 1 / probability with which the trace was kept; 1 for a dropped one.
    let adjustedCount: Double

    static let none = TailDecision(isKept: false, policy: nil, adjustedCount: 1)
}
