import OTLPWire

/// Decides about traces for one shard: the policies with the state that some of them have.
///
/// Policies are asked in the order written. A policy with state (a limiter, a budget, `dynamic`) is asked, and counts the trace, only
/// when no policy before it keeps the trace for certain: what is kept anyway takes nothing from a rate, whether the trace is
/// decided early or late.
struct TailJudge {
    private enum LimiterState {
        case spans(TokenBucketLimiter)
        case bytes(TokenBucketLimiter)
        case composite(CompositeLimiter, parts: [SecondLimiter])
    }

    /// Where the state of a `weighted` policy is.
    private enum WeightedPlace {
        case budget(Int)
        case rate(Int)
    }

    let policies: TailPolicies
    /// Indices of policies.
    private let drops: [Int]
    private let keeps: [Int]
    private var limiters: [LimiterState]
    private let weighted: [WeightedPlace]
    private var budgets: [CostBudget] = []
    private var rates: [DynamicRate] = []
    /// Of the independent draws; the same for all shards and replicas of a sampler, so that they decide alike.
    private let seed: UInt64

    init(_ policies: TailPolicies, shards: Int, seed: UInt64) {
        self.policies = policies
        self.seed = seed
        drops = policies.policies.indices.filter { policies.policies[$0].isDrop }
        keeps = policies.policies.indices.filter { !policies.policies[$0].isDrop }
        limiters = policies.limiters.map { limiter in
            switch limiter {
            case .spansPerSecond(let rate, let burst): .spans(TokenBucketLimiter(rate: rate, capacity: burst, parts: shards))
            case .bytesPerSecond(let rate, let burst): .bytes(TokenBucketLimiter(rate: rate, capacity: burst, parts: shards))
            case .composite(let composite):
                .composite(composite, parts: composite.parts.map { SecondLimiter(spansPerSecond: $0.spansPerSecond, parts: shards) })
            }
        }
        var budgets: [CostBudget] = []
        var rates: [DynamicRate] = []
        weighted = policies.weighted.map { sampler in
            switch sampler {
            case .costBudget(let rate, let weight):
                budgets.append(CostBudget(spansPerSecond: rate, weight: weight, shards: shards, seed: seed &+ UInt64(budgets.count)))
                return .budget(budgets.count - 1)
            case .dynamic(let goal, let keysMax):
                rates.append(DynamicRate(goal: goal, keysMax: keysMax, shards: shards))
                return .rate(rates.count - 1)
            }
        }
        self.budgets = budgets
        self.rates = rates
    }

    // MARK: Early decisions

    /// The decision when no further span can change it, its reason or its adjusted count: `decide` comes to the same at any later
    /// time, whatever spans have come until then.
    func settled(_ facts: TraceFacts, _ traceID: TraceID) -> TailDecision? {
        var drawnDrops: [DrawFormula] = []
        for index in drops {
            switch policies.policies[index].node.standing(facts) {
            case .settled(false): continue
            case .settled(true): return TailDecision(isKept: false, policy: index, adjustedCount: 1)
            case .open: return nil
            case .drawn:
                let formula = formula(policies.policies[index].node, facts, traceID, now: 0)
                if holds(formula, traceID) { return TailDecision(isKept: false, policy: index, adjustedCount: 1) }
                drawnDrops.append(formula)
            }
        }
        var drawnKeeps: [DrawFormula] = []
        var first: Int?
        for index in keeps {
            switch policies.policies[index].node.standing(facts) {
            case .settled(false): continue
            case .settled(true): return kept(first ?? index, [.fixed(true)], drawnDrops)
            case .open: return nil
            case .drawn:
                let formula = formula(policies.policies[index].node, facts, traceID, now: 0)
                if first == nil, holds(formula, traceID) { first = index }
                drawnKeeps.append(formula)
            }
        }
        return first.map { kept($0, drawnKeeps, drawnDrops) } ?? TailDecision.none
    }

    // MARK: Decision

    /// - Parameter now: monotonic; a step back counts as no time.
    mutating func decide(_ facts: TraceFacts, _ traceID: TraceID, now: Duration) -> TailDecision {
        let now = Self.nanoseconds(now)
        var openDrops: [DrawFormula] = []
        for index in drops {
            let formula = formula(policies.policies[index].node, facts, traceID, now: now)
            if holds(formula, traceID) { return TailDecision(isKept: false, policy: index, adjustedCount: 1) }
            if formula != .fixed(false) { openDrops.append(formula) }
        }
        for index in budgets.indices { budgets[index].advance(to: now) }
        for index in rates.indices { rates[index].advance(to: now) }
        var openKeeps: [DrawFormula] = []
        var first: Int?
        for index in keeps {
            // With `sample_on_first_match` those after the first are asked what they would say: the trace's probability needs it.
            let counts = first == nil || !policies.stopsAtFirstMatch
            let formula = ask(policies.policies[index].node, facts, traceID, now: now, counts: counts)
            if first == nil, holds(formula, traceID) { first = index }
            if formula == .fixed(true) { return kept(first ?? index, [formula], openDrops) }
            if formula != .fixed(false) { openKeeps.append(formula) }
        }
        return first.map { kept($0, openKeeps, openDrops) } ?? TailDecision.none
    }

    private static func nanoseconds(_ time: Duration) -> Int64 {
        let (seconds, attoseconds) = time.components
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (seconds < 0 ? .min / 4 : .max / 4) : nanoseconds &+ attoseconds / 1_000_000_000
    }

    private func kept(_ policy: Int, _ keeps: [DrawFormula], _ drops: [DrawFormula]) -> TailDecision {
        if drops.isEmpty, keeps.first == .fixed(true) { return TailDecision(isKept: true, policy: policy, adjustedCount: 1) }
        let probability = KeepProbability.of(keeps: keeps, drops: drops)
        return TailDecision(isKept: true, policy: policy, adjustedCount: 1 / max(probability, SamplingThreshold.probabilityMin))
    }

    /// The source's draw for the trace, uniform in (0, 1].
    func draw(_ source: RandomSource, _ traceID: TraceID) -> Double {
        switch source.kind {
        case .salted: KeyedHash.unit(FNV1a.of(traceID, after: policies.salts[source.number]))
        case .independent: KeyedHash.unit(KeyedHash.of(traceID, seed: seed &+ UInt64(source.number) &* 0x9E37_79B9_7F4A_7C15))
        }
    }

    private func holds(_ formula: DrawFormula, _ traceID: TraceID) -> Bool {
        if case .fixed(let holds) = formula { return holds }
        return formula.holds { draw($0, traceID) }
    }

    // MARK: One policy

    /// What a node comes to. Looks at limiters and budgets as they are, without counting the trace.
    private func formula(_ node: PolicyNode, _ facts: TraceFacts, _ traceID: TraceID, now: Int64) -> DrawFormula {
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
                let part = formula(node, facts, traceID, now: now)
                if part == .fixed(false) { return part }
                if part != .fixed(true) { parts.append(part) }
            }
            return .conjunction(parts)
        case .not(let node): return .negation(formula(node, facts, traceID, now: now))
        case .limiter(let number): return limit(number, facts, traceID, now: now)
        case .weighted(let number, let source): return .drawn(source, probability(number, facts))
        }
    }

    /// As `formula`; with `counts` the limiters and budgets that the trace came to count it.
    private mutating func ask(_ node: PolicyNode, _ facts: TraceFacts, _ traceID: TraceID, now: Int64, counts: Bool) -> DrawFormula {
        switch node {
        case .limiter(let number):
            let formula = limit(number, facts, traceID, now: now)
            if counts, holds(formula, traceID) { take(number, facts, traceID, now: now) }
            return formula
        case .weighted(let number, let source):
            let probability = probability(number, facts)
            if counts { note(number, facts, now: now) }
            return .drawn(source, probability)
        case .and(let nodes):
            // The compiler has put conditions first, then budgets, then limiters: none of these is asked about a trace that would
            // not have been kept with it.
            var parts: [DrawFormula] = []
            var isReached = counts
            for node in nodes {
                let isLimiter = node.isLimiter
                let part =
                    isLimiter
                    ? formula(node, facts, traceID, now: now) : ask(node, facts, traceID, now: now, counts: isReached)
                if part == .fixed(false) { return part }
                if isReached { isReached = holds(part, traceID) }
                if part != .fixed(true) { parts.append(part) }
            }
            if isReached {
                for case .limiter(let number) in nodes { take(number, facts, traceID, now: now) }
            }
            return .conjunction(parts)
        case .always, .criterion, .latency, .spanCount, .cost, .tokens, .random, .rules, .not:
            return formula(node, facts, traceID, now: now)
        }
    }

    private func probability(_ number: Int, _ facts: TraceFacts) -> Double {
        switch weighted[number] {
        case .budget(let index): budgets[index].probability(facts)
        case .rate(let index): rates[index].probability(facts)
        }
    }

    private mutating func note(_ number: Int, _ facts: TraceFacts, now: Int64) {
        switch weighted[number] {
        case .budget(let index): budgets[index].note(facts, now: now)
        case .rate(let index): rates[index].note(facts, now: now)
        }
    }

    // MARK: Limiters

    private func limit(_ number: Int, _ facts: TraceFacts, _ traceID: TraceID, now: Int64) -> DrawFormula {
        switch limiters[number] {
        case .spans(let limiter): return .fixed(limiter.hasRoom(Double(facts.spanCount), now: now))
        case .bytes(let limiter): return .fixed(limiter.hasRoom(Double(facts.byteCount), now: now))
        case .composite(let composite, let states):
            // The first part that holds decides, by the room that it has: from the last one backwards, with room "it or the rest",
            // without room "the rest, but not it".
            var rest = DrawFormula.fixed(false)
            for (part, state) in zip(composite.parts, states).reversed() {
                let formula = formula(part.node, facts, traceID, now: now)
                let hasRoom = state.hasRoom(facts.spanCount, now: now)
                rest =
                    hasRoom
                    ? .negation(.conjunction([.negation(formula), .negation(rest)])) : .conjunction([.negation(formula), rest])
            }
            return rest
        }
    }

    private mutating func take(_ number: Int, _ facts: TraceFacts, _ traceID: TraceID, now: Int64) {
        switch limiters[number] {
        case .spans(var limiter):
            _ = limiter.take(Double(facts.spanCount), now: now)
            limiters[number] = .spans(limiter)
        case .bytes(var limiter):
            _ = limiter.take(Double(facts.byteCount), now: now)
            limiters[number] = .bytes(limiter)
        case .composite(let composite, var parts):
            let deciding = composite.parts.firstIndex { holds(formula($0.node, facts, traceID, now: now), traceID) }
            guard let deciding else { return }
            _ = parts[deciding].take(facts.spanCount, now: now)
            limiters[number] = .composite(composite, parts: parts)
        }
    }
}
