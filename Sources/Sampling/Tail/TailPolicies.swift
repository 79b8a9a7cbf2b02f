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
    /// Salt of each `salted` source; index = `RandomSource.number`.
    var salts: [[UInt8]] = []
    var independentSources = 0
    /// `sample_on_first_match`: the first policy that keeps decides, without asking the rest.
    var stopsAtFirstMatch = false

    /// Names and places in `policies` of those that may drop and those that may keep.
    var drops: [Policy] { policies.filter(\.isDrop) }

    mutating func saltedSource(_ salt: String) -> RandomSource {
        let bytes = Array(salt.utf8)
        let number = salts.firstIndex(of: bytes) ?? salts.count
        if number == salts.count { salts.append(bytes) }
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

/// Decides about traces for one shard: the policies with the state that some of them have.
struct TailJudge {
    private enum LimiterState {
        case spans(TokenBucketLimiter)
        case bucket(TokenBucketLimiter)
        case composite(CompositeLimiter, parts: [SecondLimiter], whole: SecondLimiter)
    }

    private enum WeightedState {
        case costBudget(CostBudget)
        case dynamic(DynamicRate)
    }

    let policies: TailPolicies
    private var limiters: [LimiterState]
    private var weighted: [WeightedState]
    /// Of the independent draws; the same for all shards and replicas of a sampler, so that they decide alike.
    private let seed: UInt64

    init(_ policies: TailPolicies, shards: Int, seed: UInt64) {
        self.policies = policies
        self.seed = seed
        let parts = max(shards, 1)
        limiters = policies.limiters.map { limiter in
            switch limiter {
            case .spansPerSecond(let rate, let burst):
                .spans(TokenBucketLimiter(rate: rate / Double(parts), capacity: burst / Double(parts)))
            case .bytesPerSecond(let rate, let burst):
                .bucket(TokenBucketLimiter(rate: rate / Double(parts), capacity: burst / Double(parts)))
            case .composite(let composite):
                .composite(
                    composite, parts: composite.parts.map { SecondLimiter(spansPerSecond: Self.part($0.spansPerSecond, of: parts)) },
                    whole: SecondLimiter(spansPerSecond: Self.part(composite.maxSpansPerSecond, of: parts)))
            }
        }
        weighted = policies.weighted.enumerated().map { index, sampler in
            switch sampler {
            case .costBudget(let rate, let weight):
                .costBudget(CostBudget(spansPerSecond: rate, weight: weight, shards: shards, seed: seed &+ UInt64(index)))
            case .dynamic(let goal, let keysMax): .dynamic(DynamicRate(goal: goal, keysMax: keysMax, shards: shards))
            }
        }
    }

    private static func part(_ rate: Int, of shards: Int) -> Int { (rate + shards - 1) / shards }

    // MARK: Early decisions

    /// The decision when no further span can change it, its reason or its adjusted count.
    func settled(_ facts: TraceFacts, _ traceID: TraceID) -> TailDecision? {
        for policy in policies.policies where policy.isDrop {
            switch policy.node.standing(facts) {
            case .settled(false): continue
            case .settled(true): return TailDecision(isKept: false, policy: index(of: policy), adjustedCount: 1)
            case .drawn, .open: return nil
            }
        }
        var first: Int?
        for (index, policy) in policies.policies.enumerated() where !policy.isDrop {
            switch policy.node.standing(facts) {
            case .settled(false): continue
            case .settled(true): return TailDecision(isKept: true, policy: first ?? index, adjustedCount: 1)
            case .drawn:
                if first == nil, drawHolds(policy.node, facts, traceID) { first = index }
            case .open: return nil
            }
        }
        // Drawn ones alone: their probability is for `decide`.
        return nil
    }

    private func index(of policy: TailPolicies.Policy) -> Int? { policies.policies.firstIndex { $0.name == policy.name } }

    private func drawHolds(_ node: PolicyNode, _ facts: TraceFacts, _ traceID: TraceID) -> Bool {
        var copy = self
        return copy.formula(node, facts, now: .zero).holds { draw($0, traceID) }
    }

    // MARK: Decision

    mutating func decide(_ facts: TraceFacts, _ traceID: TraceID, now: Duration) -> TailDecision {
        var drops: [DrawFormula] = []
        for (index, policy) in policies.policies.enumerated() where policy.isDrop {
            let formula = formula(policy.node, facts, now: now)
            if formula.holds({ draw($0, traceID) }) { return TailDecision(isKept: false, policy: index, adjustedCount: 1) }
            if formula != .fixed(false) { drops.append(formula) }
        }
        var keeps: [DrawFormula] = []
        var first: Int?
        for (index, policy) in policies.policies.enumerated() where !policy.isDrop {
            let formula = formula(policy.node, facts, now: now)
            if first == nil, formula.holds({ draw($0, traceID) }) { first = index }
            if formula != .fixed(false) { keeps.append(formula) }
            if first != nil, policies.stopsAtFirstMatch { break }
        }
        guard let first else { return .none }
        if drops.isEmpty, keeps.contains(.fixed(true)) { return TailDecision(isKept: true, policy: first, adjustedCount: 1) }
        let probability = KeepProbability.of(keeps: keeps, drops: drops) ?? 1
        return TailDecision(isKept: true, policy: first, adjustedCount: 1 / max(probability, SamplingThreshold.probabilityMin))
    }

    /// The source's draw for the trace, uniform in (0, 1].
    func draw(_ source: RandomSource, _ traceID: TraceID) -> Double {
        switch source.kind {
        case .salted: KeyedHash.unit(FNV1a.of(policies.salts[source.number], traceID))
        case .independent: KeyedHash.unit(KeyedHash.of(traceID, seed: seed &+ UInt64(source.number) &* 0x9E37_79B9_7F4A_7C15))
        }
    }

    private mutating func formula(_ node: PolicyNode, _ facts: TraceFacts, now: Duration) -> DrawFormula {
        switch node {
        case .always: return .fixed(true)
        case .criterion(let number, let inverted): return .fixed(facts.met.contains(number) != inverted)
        case .latency(let threshold, let upper):
            let duration = facts.durationMilliseconds
            if let upper { return .fixed(duration > threshold && duration <= upper) }
            return .fixed(duration >= threshold)
        case .spanCount(let min, let max): return .fixed(facts.spanCount >= min && facts.spanCount <= max ?? .max)
        case .cost(let least): return .fixed(facts.costUSD >= least)
        case .tokens(let total, let prompt, let completion): return .fixed(PolicyNode.hasTokens(facts, total, prompt, completion))
        case .random(let source, let probability): return .drawn(source, probability)
        case .rules(let rules, let source):
            guard let rule = rules.first(where: { facts.met.contains($0.criterion) }) else { return .fixed(false) }
            return .drawn(source, rule.probability)
        case .and(let nodes):
            var parts: [DrawFormula] = []
            for node in nodes {
                let part = formula(node, facts, now: now)
                // A limiter after a condition that fails is not asked: it would count what is not kept.
                if part == .fixed(false) { return part }
                parts.append(part)
            }
            return .conjunction(parts)
        case .not(let node): return .negation(formula(node, facts, now: now))
        case .limiter(let number): return .fixed(takes(number, facts, now: now))
        case .weighted(let number, let source): return .drawn(source, probability(number, facts, now: now))
        }
    }

    private mutating func probability(_ number: Int, _ facts: TraceFacts, now: Duration) -> Double {
        switch weighted[number] {
        case .costBudget(var budget):
            defer { weighted[number] = .costBudget(budget) }
            return budget.probability(facts, now: now)
        case .dynamic(var rate):
            defer { weighted[number] = .dynamic(rate) }
            return rate.probability(facts, now: now)
        }
    }

    private mutating func takes(_ number: Int, _ facts: TraceFacts, now: Duration) -> Bool {
        switch limiters[number] {
        case .spans(var limiter):
            defer { limiters[number] = .spans(limiter) }
            return limiter.take(Double(facts.spanCount), now: now)
        case .bucket(var limiter):
            defer { limiters[number] = .bucket(limiter) }
            return limiter.take(Double(facts.byteCount), now: now)
        case .composite(let composite, var parts, var whole):
            defer { limiters[number] = .composite(composite, parts: parts, whole: whole) }
            for (index, part) in composite.parts.enumerated() {
                // Sub-policies are conditions; a limiter within one would be counted twice and is refused by the configuration.
                guard formula(part.node, facts, now: now) == .fixed(true) else { continue }
                return parts[index].take(facts.spanCount, now: now) && whole.take(facts.spanCount, now: now)
            }
            return false
        }
    }
}

/// FNV-1a, 64 bits, over a salt and a trace id: the hash of the Go collector's `probabilistic` policy.
enum FNV1a {
    static func of(_ salt: [UInt8], _ id: TraceID) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in salt { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for word in [id.high, id.low] {
            for shift in stride(from: UInt64(56), through: 0, by: -8) { hash = (hash ^ (word >> shift & 0xFF)) &* 0x100_0000_01B3 }
        }
        return hash
    }
}
