import Glibc
import OTLPWire

@testable import Sampling

/// A load of LLM traces of three models: one cheap and frequent, one dear and rare, and traces without LLM calls.
struct SampledLoad {
    struct Trace {
        let facts: TraceFacts
        let model: Int
        let time: Duration
    }

    static let models = 3
    /// The criterion that one trace in twenty meets.
    static let errorCriterion = 0
    /// The criterion that all meet.
    static let anyCriterion = 1

    var traces: [Trace] = []
    let seconds: Double

    /// - Parameter rate: traces per second as a function of the second.
    init(seed: UInt64, seconds: Int, rate: (Int) -> Double) {
        var random = SplitMix64(seed: seed)
        self.seconds = Double(seconds)
        var time = 0.0
        while true {
            time += -log(Double.random(in: Double.leastNonzeroMagnitude...1, using: &random)) / rate(min(Int(time), seconds - 1))
            guard time < Double(seconds) else { return }
            traces.append(Self.trace(at: .nanoseconds(Int64(time * 1e9)), &random))
        }
    }

    private static func trace(at time: Duration, _ random: inout SplitMix64) -> Trace {
        var facts = TraceFacts()
        let model = [0, 0, 0, 0, 0, 0, 1, 2, 2, 2][Int.random(in: 0..<10, using: &random)]
        facts.spanCount = Int.random(in: 1...40, using: &random)
        // A long tail: from one to a hundred times the least, half of them below twice.
        let size = min(1 / Double.random(in: 0.01...1, using: &random), 100)
        if model < 2 {
            facts.totalTokens = Int64(size * 300)
            facts.costUSD = Double(facts.totalTokens) * (model == 0 ? 1e-6 : 3e-5)
        }
        facts.earliestStart = 1_000_000_000
        facts.latestEnd = facts.earliestStart + UInt64(size * 2e8)
        facts.dynamicKey = UInt64(model)
        facts.met.insert(anyCriterion)
        if Int.random(in: 0..<20, using: &random) == 0 { facts.met.insert(errorCriterion) }
        return Trace(facts: facts, model: model, time: time)
    }

    var spansPerSecond: Double { traces.reduce(0) { $0 + Double($1.facts.spanCount) } / seconds }

    /// Spans, cost, tokens: in all, then of each model.
    static let totalsCount = 3 * (1 + models)

    static func add(_ trace: Trace, times count: Double, to totals: inout [Double]) {
        let figures = [Double(trace.facts.spanCount), trace.facts.costUSD, Double(trace.facts.totalTokens)]
        for (index, figure) in figures.enumerated() {
            totals[index] += count * figure
            totals[3 * (trace.model + 1) + index] += count * figure
        }
    }

    var truth: [Double] {
        var totals = [Double](repeating: 0, count: Self.totalsCount)
        for trace in traces { Self.add(trace, times: 1, to: &totals) }
        return totals
    }
}
