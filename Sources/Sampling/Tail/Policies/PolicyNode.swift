/// What a policy asks of a trace, put together from criteria; pure.
///
/// The same node answers two questions: whether it holds now, and whether that answer can still change as more spans arrive
/// (`standing`), on which early decisions rest.
enum PolicyNode: Sendable {
    case always
    /// Some span met the criterion, or with `inverted` none did.
    case criterion(Int, inverted: Bool)
    /// Milliseconds; with an upper bound more than `threshold` and at most that.
    case latency(threshold: UInt64, upper: UInt64?)
    case spanCount(min: Int, max: Int?)
    case cost(atLeast: Double)
    case tokens(total: Int64?, prompt: Int64?, completion: Int64?)
    /// Holds for a share of the traces, by their randomness `source`.
    case random(RandomSource, probability: Double)
    /// The first rule that some span meets decides the share.
    case rules([(criterion: Int, probability: Double)], RandomSource)
    case and([PolicyNode])
    indirect case not(PolicyNode)
    /// Number of a limiter of the shard: rate, bytes, composite.
    case limiter(Int)
    /// Number of a weighted sampler of the shard: `cost_budget`, `dynamic`.
    case weighted(Int, RandomSource)

    /// Whether an answer is there for good.
    enum Standing: Equatable {
        case settled(Bool)
        /// For good as well, but drawn: its probability counts.
        case drawn
        case open
    }

    func standing(_ facts: TraceFacts) -> Standing {
        switch self {
        case .always: return .settled(true)
        case .random(_, let probability): return Self.drawn(probability)
        case .criterion(let number, let inverted):
            return facts.met.contains(number) ? .settled(!inverted) : .open
        case .latency(let threshold, let upper):
            let duration = facts.durationMilliseconds
            if let upper { return duration > upper ? .settled(false) : .open }
            return duration >= threshold ? .settled(true) : .open
        case .spanCount(let min, let max):
            if let max { return facts.spanCount > max ? .settled(false) : .open }
            return facts.spanCount >= min ? .settled(true) : .open
        case .cost(let least): return facts.costUSD >= least ? .settled(true) : .open
        case .tokens(let total, let prompt, let completion):
            return Self.hasTokens(facts, total, prompt, completion) ? .settled(true) : .open
        case .rules(let rules, _):
            // Only the first rule's answer stands whatever comes.
            guard let first = rules.first, facts.met.contains(first.criterion) else { return .open }
            return Self.drawn(first.probability)
        case .and(let nodes):
            var whole = Standing.settled(true)
            for node in nodes {
                switch node.standing(facts) {
                case .settled(false): return .settled(false)
                case .settled(true): continue
                case .drawn: if whole != .open { whole = .drawn }
                case .open: whole = .open
                }
            }
            return whole
        case .not(let node):
            let standing = node.standing(facts)
            if case .settled(let holds) = standing { return .settled(!holds) }
            return standing
        case .limiter, .weighted: return .open
        }
    }

    /// Its sources with all thresholds that one trace's draws may be compared with.
    func thresholds(_ policies: TailPolicies) -> [RandomSource: Set<Double>] {
        switch self {
        case .always, .criterion, .latency, .spanCount, .cost, .tokens: return [:]
        case .random(let source, let probability): return [source: [probability]]
        // One rule, or one weight, counts at a time.
        case .rules(_, let source), .weighted(_, let source): return [source: [0.5]]
        case .and(let nodes): return Self.union(nodes.map { $0.thresholds(policies) })
        case .not(let node): return node.thresholds(policies)
        case .limiter(let number):
            guard case .composite(let composite) = policies.limiters[number] else { return [:] }
            return Self.union(composite.parts.map { $0.node.thresholds(policies) })
        }
    }

    private static func union(_ all: [[RandomSource: Set<Double>]]) -> [RandomSource: Set<Double>] {
        all.reduce(into: [:]) { $0.merge($1) { $0.union($1) } }
    }

    var isLimiter: Bool {
        if case .limiter = self { return true }
        return false
    }

    private static func drawn(_ probability: Double) -> Standing {
        probability >= 1 ? .settled(true) : probability <= 0 ? .settled(false) : .drawn
    }

    static func hasTokens(_ facts: TraceFacts, _ total: Int64?, _ prompt: Int64?, _ completion: Int64?) -> Bool {
        if let total, facts.totalTokens < total { return false }
        if let prompt, facts.promptTokens < prompt { return false }
        if let completion, facts.completionTokens < completion { return false }
        return true
    }
}

/// Where a policy's randomness comes from. Two policies with the same source decide alike, with different ones independently.
struct RandomSource: Hashable, Comparable, Sendable {
    enum Kind: Int, Hashable, Sendable {
        /// FNV-1a over salt and trace id, as the Go collector's `probabilistic` policy does, so that replicas of both agree.
        case salted
        /// A seeded hash that is independent of the trace id's own bits and of every salt.
        case independent
    }

    let kind: Kind
    /// Number among the sampler's sources.
    let number: Int

    static func < (left: RandomSource, right: RandomSource) -> Bool {
        (left.kind.rawValue, left.number) < (right.kind.rawValue, right.number)
    }
}

/// What a node comes to for one trace at its decision: a fixed answer, or one that depends on draws.
enum DrawFormula: Equatable {
    case fixed(Bool)
    /// Holds when the source's draw is at most the probability.
    case draw(RandomSource, probability: Double)
    case all([DrawFormula])
    indirect case inverse(DrawFormula)

    static func drawn(_ source: RandomSource, _ probability: Double) -> DrawFormula {
        probability >= 1 ? .fixed(true) : probability <= 0 ? .fixed(false) : .draw(source, probability: probability)
    }

    static func conjunction(_ parts: [DrawFormula]) -> DrawFormula {
        if parts.contains(.fixed(false)) { return .fixed(false) }
        let open = parts.filter { $0 != .fixed(true) }
        return open.isEmpty ? .fixed(true) : open.count == 1 ? open[0] : .all(open)
    }

    static func negation(_ part: DrawFormula) -> DrawFormula {
        switch part {
        case .fixed(let holds): .fixed(!holds)
        case .inverse(let inner): inner
        case .draw, .all: .inverse(part)
        }
    }

    /// - Parameter draw: the source's value for this trace, uniform in (0, 1].
    func holds(_ draw: (RandomSource) -> Double) -> Bool {
        switch self {
        case .fixed(let holds): holds
        case .draw(let source, let probability): draw(source) <= probability
        case .all(let parts): parts.allSatisfy { $0.holds(draw) }
        case .inverse(let part): !part.holds(draw)
        }
    }

    func collect(into thresholds: inout [RandomSource: Set<Double>]) {
        switch self {
        case .fixed: break
        case .draw(let source, let probability): thresholds[source, default: []].insert(probability)
        case .all(let parts): for part in parts { part.collect(into: &thresholds) }
        case .inverse(let part): part.collect(into: &thresholds)
        }
    }
}
