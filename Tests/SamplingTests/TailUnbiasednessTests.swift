import Glibc
import OTLPWire
import Testing

@testable import Sampling

/// Over many seeds the mean of every weighted total is the truth: of spans, cost and tokens, in all and per model.
@Suite struct TailUnbiasednessTests {
    private static let seeds = 200
    /// Differences of the mean from the truth are at most this many standard errors.
    private static let errorsMax = 4.0
    /// The load grows fourfold, falls and pauses, so that budgets have to follow.
    private static let load = SampledLoad(seed: 3, seconds: 12) { second in [12, 12, 50, 50, 50, 12, 1, 0.1, 12, 25, 12, 12][second] }

    /// Policies by name; `percent` of the spans are to be kept.
    private static func policies(_ kind: String, _ percent: Double) -> String {
        let budget = max(Int((load.spansPerSecond * percent / 100).rounded()), 1)
        let random = "type: probabilistic, probabilistic: {sampling_percentage: \(percent)}"
        func costBudget(_ weight: String) -> String { "type: cost_budget, cost_budget: {spans_per_second: \(budget), weight: \(weight)}" }
        // Criteria are numbered as written: this one is the load's `errorCriterion`, and so is a first rule.
        let errors = "type: status_code, status_code: {status_codes: [ERROR]}"
        switch kind {
        case "probabilistic": return "- {name: p, \(random)}"
        case "cost", "tokens", "duration": return "- {name: p, \(costBudget(kind))}"
        case "dynamic rate": return "- {name: p, type: dynamic, dynamic: {goal_sample_rate: \(100 / percent), key: [model]}}"
        case "dynamic spans": return "- {name: p, type: dynamic, dynamic: {goal_spans_per_second: \(budget), key: [model]}}"
        case "priority":
            return """
                - {name: p, type: priority, priority: {rules: [
                  {match: {name: x}, sampling_percentage: 50}, {sampling_percentage: \(percent)}]}}
                """
        case "or": return "- {name: a, \(random)}\n- {name: b, \(costBudget("cost"))}"
        case "first match": return "- {name: a, \(random)}\n- {name: b, \(costBudget("cost"))}"
        case "and":
            return """
                - {name: a, type: and, and: {and_sub_policy: [{\(errors)}, {\(costBudget("tokens"))}]}}
                - {name: b, \(random)}
                """
        case "errors first": return "- {name: e, \(errors)}\n- {name: b, \(costBudget("cost"))}"
        default: return "- {name: d, type: drop, drop: {drop_sub_policy: [{\(random)}]}}\n- {name: b, \(costBudget("cost"))}"
        }
    }

    /// Mean and standard error of each total over the seeds.
    private static func estimate(
        _ kind: String, _ percent: Double, count: (TailDecision) -> Double = { $0.adjustedCount }
    ) throws -> (means: [Double], errors: [Double], kept: Double) {
        let settings = kind == "first match" ? "sample_on_first_match: true" : ""
        let policies = try TestSampler(policies(kind, percent), settings: settings).config.policies
        var sums = [Double](repeating: 0, count: SampledLoad.totalsCount)
        var squares = sums
        var kept = 0.0
        for seed in 0..<seeds {
            var random = SplitMix64(seed: UInt64(seed) &+ 77)
            var judge = TailJudge(policies, shards: 1, seed: random.next())
            var totals = [Double](repeating: 0, count: SampledLoad.totalsCount)
            for trace in load.traces {
                // What a head sampler at 25 % lets through: only its randomness (the low 56 bits) in the upper quarter.
                let id = TraceID(high: random.next(), low: random.next() | 0x00C0_0000_0000_0000)
                let decision = judge.decide(trace.facts, id, now: trace.time)
                guard decision.isKept else { continue }
                SampledLoad.add(trace, times: count(decision), to: &totals)
                kept += Double(trace.facts.spanCount)
            }
            for index in totals.indices {
                sums[index] += totals[index]
                squares[index] += totals[index] * totals[index]
            }
        }
        let n = Double(seeds)
        let means = sums.map { $0 / n }
        let errors = zip(squares, means).map { sqrt(max($0 / n - $1 * $1, 0) / (n - 1)) }
        return (means, errors, kept / n / Self.load.spansPerSecond / Self.load.seconds)
    }

    static let kinds = [
        "probabilistic", "cost", "tokens", "duration", "dynamic rate", "dynamic spans", "priority", "or", "first match", "and",
        "errors first",
        "drop",
    ]

    @Test("sum(adjusted_count), weighted cost and weighted tokens are unbiased, also per model", arguments: kinds, [1.0, 10, 50])
    func unbiased(_ kind: String, _ percent: Double) throws {
        let truth = Self.load.truth
        let (means, errors, kept) = try Self.estimate(kind, percent)
        for index in truth.indices {
            let difference = abs(means[index] - truth[index])
            #expect(
                difference <= Self.errorsMax * errors[index] + 1e-9 * truth[index], "total \(index): \(means[index]) for \(truth[index])")
        }
        #expect(kept < 0.99 && kept > 0.001, "nothing is drawn: \(kept)")
    }

    @Test("the comparison is sharp: counting kept traces once, or by the reason's probability alone, is found out")
    func sharp() throws {
        let truth = Self.load.truth
        let once = try Self.estimate("probabilistic", 50) { _ in 1 }
        #expect(abs(once.means[0] - truth[0]) > Self.errorsMax * once.errors[0])
        let reason = try Self.estimate("or", 50) { $0.policy == 0 ? 2 : $0.adjustedCount }
        #expect(abs(reason.means[0] - truth[0]) > Self.errorsMax * reason.errors[0])
    }
}
