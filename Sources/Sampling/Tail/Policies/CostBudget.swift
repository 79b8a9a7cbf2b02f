/// `cost_budget`: keeps about `spansPerSecond` spans, the dear traces first, so that weighted totals stay unbiased; pure.
///
/// Threshold sampling: a trace of weight w is kept with probability min(1, w / t), and then counts max(1, t / w). The threshold t
/// is fixed before a trace is looked at, from the traces before it, so the estimate of any total over any subset is unbiased
/// (Duffield, Lund, Thorup: "Priority sampling for estimation of arbitrary subset sums").
///
/// A window is at least `windowNanoseconds` long, and longer where few traces come. Its end fixes the threshold with which its
/// traces would have filled the budget, and the new threshold goes half of the way there. Three rules beside that:
/// - With no threshold yet, or one that a rise of the load has outdated, more is kept than wanted. Once the traces of a window are
///   worth `overshoot` times a whole window's budget, it ends at once, so that even the very first second keeps little more.
/// - What is kept too much or too little in the long run moves the budget that is aimed at.
/// - Silence says nothing about the load after it: the threshold stays as it is. Shards have equal parts of the budget.
struct CostBudget {
    enum Weight: String, CaseIterable, Sendable { case cost, tokens, duration }

    static let windowNanoseconds: Int64 = 1_000_000_000
    /// A window with fewer traces goes on, at most for `windowsMax` times its length.
    static let samplesMin = 64
    static let windowsMax: Int64 = 120
    /// Weight of a trace that has none, as a part of the running mean, so that every trace can be kept.
    static let floorFraction = 0.01
    /// A weight counts in the mean with at most this many thresholds.
    static let meanThresholdsMax = 100.0
    /// How much the newest window counts in the running mean.
    static let smoothing = 0.2
    /// How much a window's excess, in windows of budget, moves the aim; excesses beyond `excessMax` are taken for a change of load.
    static let aimPart = 0.1
    static let excessMax = 2.0
    static let aimRange = 0.5...1.25
    /// Traces of a window whose weights are kept to find its threshold.
    static let samplesMax = 4096
    static let overshoot = 2.0
    /// Fewer kept traces than these may be chance, and are no harm.
    static let overshootTracesMin = 16.0
    /// A window that is ended early was at least this part of one; less would say little about the load.
    static let windowPartMin = 0.05

    let spansPerSecond: Double
    let weight: Weight
    /// Spans per window.
    private let budget: Double
    private(set) var threshold = 0.0
    private var meanWeight = 0.0
    /// What part of the budget thresholds are computed for.
    private var aim = 1.0
    /// Nanoseconds of the clock that is passed in; nil before the first trace.
    private var windowStart: Int64?
    private var lastNote: Int64 = 0
    /// Weights and span counts of this window, a uniform sample when there are more than `samplesMax`.
    private var samples: [(weight: Double, spans: Int)] = []
    private var seen = 0
    /// What of the window's traces is expected to be kept.
    private var expectedTraces = 0.0
    private var expectedSpans = 0.0
    private var random: UInt64

    init(spansPerSecond: Double, weight: Weight, shards: Int, seed: UInt64) {
        self.spansPerSecond = spansPerSecond
        self.weight = weight
        budget = max(spansPerSecond / Double(max(shards, 1)), .leastNormalMagnitude) * Double(Self.windowNanoseconds) / 1e9
        random = seed
    }

    /// Probability with which a trace of these facts is kept, at the time last passed to `advance`.
    func probability(_ facts: TraceFacts) -> Double {
        let weight = max(own(facts), floor)
        return threshold > 0 && weight < threshold ? weight / threshold : 1
    }

    /// Counts a trace that the budget had to decide about.
    mutating func note(_ facts: TraceFacts, now: Int64) {
        let probability = probability(facts)
        expectedTraces += probability
        expectedSpans += probability * Double(facts.spanCount)
        seen += 1
        lastNote = max(lastNote, now)
        let sample = (weight: own(facts), spans: facts.spanCount)
        if samples.count < Self.samplesMax {
            samples.append(sample)
        } else {
            // Reservoir sampling.
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let place = Int((random >> 33) % UInt64(seen))
            if place < samples.count { samples[place] = sample }
        }
    }

    /// - Parameter now: nanoseconds; a step back counts as no time.
    mutating func advance(to now: Int64) {
        guard let start = windowStart, now >= start else {
            // A clock that went back by much starts anew; by little it goes on where it was.
            if windowStart.map({ $0 - now > Self.windowNanoseconds * Self.windowsMax }) ?? true { begin(at: now) }
            return
        }
        if seen == 0 {
            // A silence is not part of a window.
            if now - start >= Self.windowNanoseconds { begin(at: now) }
        } else if seen >= Self.samplesMin, now - start >= Self.windowNanoseconds {
            // It ended when its last trace had come and its time was over; after a silence the next one begins now.
            let end = max(lastNote, start + Self.windowNanoseconds)
            finish(
                windows: Double(end - start) / Double(Self.windowNanoseconds), at: now - end < Self.windowNanoseconds ? end : now)
        } else if now - start >= Self.windowNanoseconds * Self.windowsMax {
            finish(windows: Double(Self.windowsMax), at: now)
        } else if expectedTraces > Self.overshootTracesMin,
            expectedSpans > Self.overshoot * budget * max(Double(now - start) / Double(Self.windowNanoseconds), 1)
        {
            finish(windows: max(Double(now - start) / Double(Self.windowNanoseconds), Self.windowPartMin), at: now)
        }
    }

    private func own(_ facts: TraceFacts) -> Double {
        let own =
            switch weight {
            case .cost: facts.costUSD
            case .tokens: Double(facts.totalTokens)
            case .duration: Double(facts.durationNano)
            }
        return own.isFinite ? max(own, 0) : 0
    }

    /// As long as all weights are 0 any floor does: all traces are alike.
    private var floor: Double { meanWeight > 1e-100 ? meanWeight * Self.floorFraction : 1 }

    private mutating func begin(at now: Int64) {
        windowStart = now
        lastNote = now
        samples.removeAll(keepingCapacity: true)
        seen = 0
        expectedTraces = 0
        expectedSpans = 0
    }

    /// Fixes the next threshold by the one under which the window that ends would have kept the budget.
    private mutating func finish(windows: Double, at now: Int64) {
        defer { begin(at: now) }
        // A single monstrous trace must not make all others alike.
        let cap = threshold > 0 ? threshold * Self.meanThresholdsMax : Double.infinity
        let mean = samples.reduce(0) { $0 + min($1.weight, cap) } / Double(samples.count)
        meanWeight = meanWeight == 0 ? mean : meanWeight + Self.smoothing * (mean - meanWeight)
        let floor = floor
        let weights = samples.map { (weight: max($0.weight, floor), spans: $0.spans) }
        let needed = Self.threshold(weights, budget: aim * budget * windows * Double(samples.count) / Double(seen))
        if threshold > 0, needed > 0 { correctAim(windows) }
        if needed == 0 {
            // Everything fits: below the least weight a threshold has no effect.
            threshold = threshold > weights.reduce(.infinity, { min($0, $1.weight) }) ? threshold / 2 : 0
        } else {
            // Down it goes quickly: one window with a giant trace must not shut out the next hundred.
            threshold = threshold == 0 ? needed : min(threshold + 0.5 * (needed - threshold), 2 * needed)
        }
    }

    /// A threshold that fits a few traces exactly is too low for others on average. What was kept too much is therefore made up for.
    private mutating func correctAim(_ windows: Double) {
        let excess = min(max(expectedSpans / budget - windows, -Self.excessMax), Self.excessMax)
        aim = min(max(aim - Self.aimPart * excess, Self.aimRange.lowerBound), Self.aimRange.upperBound)
    }

    /// The t with sum of spans x min(1, w / t) = budget; 0 when everything fits.
    static func threshold(_ samples: [(weight: Double, spans: Int)], budget: Double) -> Double {
        let total = samples.reduce(0.0) { $0 + Double($1.spans) }
        guard total > budget else { return 0 }
        let sorted = samples.sorted { $0.weight > $1.weight }
        // With the k dearest certain, the rest share what is left: t = (sum of their w x spans) / (budget - spans of the k).
        var left = budget
        var weighted = sorted.reduce(0.0) { $0 + $1.weight * Double($1.spans) }
        for sample in sorted {
            let candidate = weighted / left
            // A trace of more spans than are left always ends here, so something stays left.
            if candidate >= sample.weight { return candidate }
            left -= Double(sample.spans)
            weighted -= sample.weight * Double(sample.spans)
        }
        return 0
    }
}
