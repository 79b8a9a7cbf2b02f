import Glibc

/// `cost_budget`: keeps about `spansPerSecond` spans, the dear traces first, so that weighted totals stay unbiased; pure.
///
/// Threshold sampling: a trace of weight w is kept with probability min(1, w / t), and then counts max(1, t / w). The threshold t
/// of a window is fixed before it begins, from what the window before would have needed: with t known beforehand the estimate of
/// any total over any subset is unbiased (Duffield, Lund, Thorup: "Priority sampling for estimation of arbitrary subset sums").
struct CostBudget {
    enum Weight: String, CaseIterable, Sendable { case cost, tokens, duration }

    /// Length of a window: long enough to hold a few traces at low rates, short enough to follow the load.
    static let windowLength = Duration.seconds(1)
    /// Weight of a trace that has none, as a part of the running mean, so that every trace can be kept.
    static let floorFraction = 0.01
    /// How much the newest window counts in the running means.
    static let smoothing = 0.2
    /// Traces of a window whose weights are kept to find its threshold.
    static let samplesMax = 4096

    let spansPerSecond: Double
    let weight: Weight
    /// Divides the budget where several shards share it.
    private let share: Double
    private(set) var threshold = 0.0
    private var meanWeight = 0.0
    private var window: Int64 = .min
    /// Weights and span counts of this window, a uniform sample when there are more than `samplesMax`.
    private var samples: [(weight: Double, spans: Int)] = []
    private var seen = 0
    private var random: UInt64

    init(spansPerSecond: Double, weight: Weight, shards: Int, seed: UInt64) {
        self.spansPerSecond = spansPerSecond
        self.weight = weight
        share = 1 / Double(max(shards, 1))
        random = seed | 1
    }

    /// Probability with which a trace of these facts is kept now. Each call counts as one trace of the window.
    mutating func probability(_ facts: TraceFacts, now: Duration) -> Double {
        advance(to: now)
        let weight = weightWithFloor(facts)
        note(weight, facts.spanCount)
        guard threshold > 0, weight < threshold else { return 1 }
        return weight / threshold
    }

    private func weightWithFloor(_ facts: TraceFacts) -> Double {
        let own: Double
        switch weight {
        case .cost: own = facts.costUSD
        case .tokens: own = Double(facts.totalTokens)
        case .duration: own = Double(facts.durationNano)
        }
        let floor = max(meanWeight * Self.floorFraction, .leastNormalMagnitude)
        return own.isFinite ? max(own, floor) : floor
    }

    private mutating func note(_ weight: Double, _ spans: Int) {
        seen += 1
        if samples.count < Self.samplesMax {
            samples.append((weight, spans))
        } else {
            // Reservoir sampling.
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let place = Int((random >> 33) % UInt64(seen))
            if place < samples.count { samples[place] = (weight, spans) }
        }
    }

    private mutating func advance(to now: Duration) {
        let current = Int64(now / Self.windowLength)
        guard window != .min else {
            window = current
            return
        }
        guard current > window else { return }
        let elapsed = min(current - window, 60)
        finish(windows: Double(elapsed))
        window = current
    }

    /// Fixes the next window's threshold: the one under which the window that ends would have kept the budget.
    private mutating func finish(windows: Double) {
        defer {
            samples.removeAll(keepingCapacity: true)
            seen = 0
        }
        guard !samples.isEmpty else {
            threshold = threshold / 2
            return
        }
        let scale = Double(seen) / Double(samples.count)
        let budget = spansPerSecond * share * windows * (Self.windowLength / .seconds(1))
        let mean = samples.reduce(0) { $0 + $1.weight } / Double(samples.count)
        meanWeight = meanWeight == 0 ? mean : meanWeight + Self.smoothing * (mean - meanWeight)
        let needed = Self.threshold(samples, budget: budget / scale)
        threshold = threshold == 0 || needed == 0 ? needed : threshold + 0.5 * (needed - threshold)
    }

    /// The t with sum of spans x min(1, w / t) = budget; 0 when everything fits.
    static func threshold(_ samples: [(weight: Double, spans: Int)], budget: Double) -> Double {
        let total = samples.reduce(0.0) { $0 + Double($1.spans) }
        guard total > budget else { return 0 }
        let sorted = samples.sorted { $0.weight > $1.weight }
        // With the k dearest certain, the rest share what is left: t = (sum of their w x spans) / (budget - spans of the k).
        var certain = 0.0
        var weighted = sorted.reduce(0.0) { $0 + $1.weight * Double($1.spans) }
        for sample in sorted {
            let left = budget - certain
            guard left > 0 else { break }
            let candidate = weighted / left
            if candidate >= sample.weight { return candidate }
            certain += Double(sample.spans)
            weighted -= sample.weight * Double(sample.spans)
        }
        return (sorted.last?.weight ?? 0) * total / max(budget, .leastNormalMagnitude)
    }
}
