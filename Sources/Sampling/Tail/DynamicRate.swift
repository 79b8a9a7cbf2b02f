import Glibc

/// `dynamic`: keys that come often are kept less often, so that rare ones are seen; pure.
///
/// The counts of a window, smoothed over windows, give each key its probability for the next one: the goal's share is dealt to the
/// keys by the logarithm of their counts, so that a key a thousand times as frequent gets a few times as many traces. The
/// probability is fixed before the traces are seen, which keeps estimates unbiased.
struct DynamicRate {
    enum Goal: Sendable, Equatable {
        case spansPerSecond(Double)
        /// One trace in this many.
        case sampleRate(Double)
    }

    static let windowLength = Duration.seconds(5)
    /// How much the newest window counts in the moving average.
    static let smoothing = 0.5

    let goal: Goal
    let keysMax: Int
    private let share: Double
    private var window: Int64 = .min
    private var counts: [UInt64: (traces: Double, spans: Double)] = [:]
    private var averages: [UInt64: (traces: Double, spans: Double)] = [:]
    private var probabilities: [UInt64: Double] = [:]
    /// Traces of keys beyond `keysMax` share one place.
    private static let otherKey = UInt64.max

    init(goal: Goal, keysMax: Int, shards: Int) {
        self.goal = goal
        self.keysMax = keysMax
        share = 1 / Double(max(shards, 1))
    }

    mutating func probability(_ facts: TraceFacts, now: Duration) -> Double {
        advance(to: now)
        var key = facts.dynamicKey
        if counts[key] == nil, counts.count >= keysMax { key = Self.otherKey }
        let before = counts[key] ?? (0, 0)
        counts[key] = (before.traces + 1, before.spans + Double(facts.spanCount))
        // A key that is new is rare: it is kept.
        return probabilities[key] ?? 1
    }

    private mutating func advance(to now: Duration) {
        let current = Int64(now / Self.windowLength)
        guard window != .min else {
            window = current
            return
        }
        guard current > window else { return }
        let windows = Double(min(current - window, 60))
        window = current
        merge(over: windows)
        counts.removeAll(keepingCapacity: true)
        probabilities = shares()
    }

    private mutating func merge(over windows: Double) {
        for (key, average) in averages where counts[key] == nil {
            let left = (average.traces * (1 - Self.smoothing), average.spans * (1 - Self.smoothing))
            averages[key] = left.0 < 0.01 ? nil : left
        }
        for (key, count) in counts {
            let new = (traces: count.traces / windows, spans: count.spans / windows)
            guard let old = averages[key] else {
                averages[key] = new
                continue
            }
            averages[key] = (
                old.traces + Self.smoothing * (new.traces - old.traces), old.spans + Self.smoothing * (new.spans - old.spans)
            )
        }
    }

    /// Each key's probability for the next window. What a key cannot use of its part goes to the others.
    private func shares() -> [UInt64: Double] {
        let traces = averages.values.reduce(0) { $0 + $1.traces }
        let spans = averages.values.reduce(0) { $0 + $1.spans }
        guard traces > 0, spans > 0 else { return [:] }
        let seconds = Self.windowLength / .seconds(1)
        var budget: Double
        switch goal {
        case .spansPerSecond(let rate): budget = rate * share * seconds * traces / spans
        case .sampleRate(let rate): budget = traces / max(rate, 1)
        }
        var result: [UInt64: Double] = [:]
        var rest = averages.map { (key: $0.key, traces: $0.value.traces, weight: log2Plus1($0.value.traces)) }
        rest.sort { $0.traces / $0.weight < $1.traces / $1.weight }
        var weights = rest.reduce(0) { $0 + $1.weight }
        for entry in rest {
            let part = weights > 0 ? budget * entry.weight / weights : 0
            let kept = min(part, entry.traces)
            result[entry.key] = entry.traces > 0 ? max(min(1, kept / entry.traces), 1e-6) : 1
            budget -= kept
            weights -= entry.weight
        }
        return result
    }

    private func log2Plus1(_ count: Double) -> Double { Glibc.log2(1 + max(count, 0)) }
}
