import Glibc

/// `dynamic`: keys that come often are kept less often, so that rare ones are seen; pure.
///
/// The loads of a window, averaged over windows, give each key its probability for the next one: the goal is dealt to the keys by
/// the logarithm of their traces, so that a key a thousand times as frequent gets a few times as much. Keys without an average, the
/// new ones and those that found no room, are one class with a share of its own: a client that sends a new key with every trace
/// gets that share, not the whole goal. All probabilities are fixed before the traces are seen, which keeps estimates unbiased.
///
/// In the first window nothing is known. Then a goal of one trace in n keeps one in n of all; a goal of spans per second keeps
/// everything until `overshoot` times a window's goal has passed, which ends the window.
struct DynamicRate {
    enum Goal: Sendable, Equatable {
        case spansPerSecond(Double)
        /// One trace in this many.
        case sampleRate(Double)
    }

    static let windowNanoseconds: Int64 = 5_000_000_000
    /// How much the newest window counts in the moving average.
    static let smoothing = 0.5
    /// A key whose average of traces per window is below leaves the table.
    static let averageMin = 0.25
    /// Empty time that counts, in windows, after one with fewer than `samplesMin` traces.
    static let windowsMax: Int64 = 6
    static let samplesMin = 32
    static let overshoot = 2.0
    static let windowPartMin = 0.05
    /// Every key can be kept.
    static let probabilityMin = 1e-6

    private struct Load {
        var traces = 0.0
        var spans = 0.0

        mutating func add(_ spans: Double) {
            traces += 1
            self.spans += spans
        }

        mutating func move(to other: Load, by part: Double) {
            traces += part * (other.traces - traces)
            spans += part * (other.spans - spans)
        }
    }

    private struct Key {
        var count = Load()
        var average = Load()
        /// Nil until the key's first window has ended.
        var probability: Double?
    }

    let goal: Goal
    let keysMax: Int
    private let share: Double
    private var windowStart: Int64?
    private var keys: [UInt64: Key] = [:]
    /// The class of keys without an average.
    private var fresh = Key()
    private var seen = 0
    private var expectedSpans = 0.0

    init(goal: Goal, keysMax: Int, shards: Int) {
        self.goal = goal
        self.keysMax = keysMax
        share = 1 / Double(max(shards, 1))
        if case .sampleRate(let rate) = goal { fresh.probability = 1 / max(rate, 1) }
    }

    var keyCount: Int { keys.count }

    func probability(_ facts: TraceFacts) -> Double { keys[facts.dynamicKey]?.probability ?? fresh.probability ?? 1 }

    /// Counts a trace that this policy had to decide about.
    mutating func note(_ facts: TraceFacts, now: Int64) {
        let spans = Double(facts.spanCount)
        expectedSpans += probability(facts) * spans
        seen += 1
        var hasProbability = false
        if let place = keys.index(forKey: facts.dynamicKey) {
            keys.values[place].count.add(spans)
            hasProbability = keys.values[place].probability != nil
        } else if keys.count < keysMax {
            var key = Key()
            key.count.add(spans)
            keys[facts.dynamicKey] = key
        }
        if !hasProbability { fresh.count.add(spans) }
    }

    /// - Parameter now: nanoseconds; a step back counts as no time.
    mutating func advance(to now: Int64) {
        guard let start = windowStart, now >= start else {
            if windowStart.map({ $0 - now > Self.windowNanoseconds * Self.windowsMax }) ?? true { windowStart = now }
            return
        }
        let windows = Double(now - start) / Double(Self.windowNanoseconds)
        if windows >= 1 {
            // Silence after a full window says nothing about the load; between few traces it does.
            finish(windows: seen >= Self.samplesMin ? 1 : min(windows, Double(Self.windowsMax)), at: now)
        } else if case .spansPerSecond = goal, expectedSpans > Self.overshoot * budget, seen > 1 {
            finish(windows: max(windows, Self.windowPartMin), at: now)
        }
    }

    /// Of a window, in spans; for a sample rate unlimited.
    private var budget: Double {
        guard case .spansPerSecond(let rate) = goal else { return .infinity }
        return rate * share * Double(Self.windowNanoseconds) / 1e9
    }

    private mutating func finish(windows: Double, at now: Int64) {
        windowStart = now
        guard seen > 0 else { return }
        seen = 0
        expectedSpans = 0
        merge(&fresh, windows, isNew: fresh.average.traces == 0)
        for place in keys.indices { merge(&keys.values[place], windows, isNew: keys.values[place].probability == nil) }
        keys = keys.filter { $0.value.average.traces >= Self.averageMin }
        deal()
    }

    private func merge(_ key: inout Key, _ windows: Double, isNew: Bool) {
        let load = Load(traces: key.count.traces / windows, spans: key.count.spans / windows)
        key.count = Load()
        if isNew { key.average = load } else { key.average.move(to: load, by: Self.smoothing) }
    }

    /// Each key's probability for the next window. What a key cannot use of its part goes to the others.
    private mutating func deal() {
        // The fresh class comes as no id. A load is in the goal's unit.
        var rest = keys.map { (id: UInt64?.some($0.key), load: load($0.value), weight: weight($0.value)) }
        rest.append((nil, load(fresh), weight(fresh)))
        // Those that need the least of their parts come first, so that what they leave is dealt to the others.
        rest.sort { $0.load * $1.weight < $1.load * $0.weight }
        var left = budget
        if case .sampleRate(let rate) = goal { left = rest.reduce(0) { $0 + $1.load } / max(rate, 1) }
        var weights = rest.reduce(0) { $0 + $1.weight }
        for entry in rest {
            let part = weights > 0 ? left * entry.weight / weights : left
            let kept = min(part, entry.load)
            let probability = entry.load > 0 ? max(kept / entry.load, Self.probabilityMin) : 1
            if let id = entry.id { keys[id]?.probability = probability } else { fresh.probability = probability }
            left -= kept
            weights -= entry.weight
        }
    }

    private func load(_ key: Key) -> Double {
        if case .sampleRate = goal { return key.average.traces }
        return key.average.spans
    }

    private func weight(_ key: Key) -> Double { Glibc.log2(1 + key.average.traces) }
}
