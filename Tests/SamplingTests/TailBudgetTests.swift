import OTLPWire
import Testing

@testable import Sampling

/// What budgets keep: in steady state, at the start, when the load changes, after silence, with several shards.
@Suite struct TailBudgetTests {
    /// Spans kept per second of the load, by second; traces are dealt to shards by their ids.
    private static func kept(_ policy: String, _ load: SampledLoad, shards: Int = 1, seed: UInt64 = 5) throws -> [Double] {
        let policies = try TestSampler("- {name: p, \(policy)}").config.policies
        var judges = (0..<shards).map { _ in TailJudge(policies, shards: shards, seed: seed) }
        var random = SplitMix64(seed: seed)
        var kept = [Double](repeating: 0, count: Int(load.seconds))
        for trace in load.traces {
            let id = TraceID(high: random.next(), low: random.next())
            let decision = judges[Int(id.high % UInt64(shards))].decide(trace.facts, id, now: trace.time)
            if decision.isKept { kept[Int(trace.time.components.seconds)] += Double(trace.facts.spanCount) }
        }
        return kept
    }

    private static func mean(_ values: ArraySlice<Double>) -> Double { values.reduce(0, +) / Double(values.count) }

    @Test("a cost budget is met within 15 % in steady state, whatever the weight", arguments: CostBudget.Weight.allCases, [30, 300, 1000])
    func steady(_ weight: CostBudget.Weight, _ budget: Int) throws {
        // 2,050 spans a second in traces of 1 to 40.
        let load = SampledLoad(seed: 21, seconds: 300) { _ in 100 }
        let kept = try Self.kept("type: cost_budget, cost_budget: {spans_per_second: \(budget), weight: \(weight.rawValue)}", load)
        let rate = Self.mean(kept[10...])
        #expect(abs(rate / Double(budget) - 1) < 0.15, "\(rate)")
    }

    @Test("shards share a budget: together they keep it within 15 %", arguments: [2, 8])
    func shards(_ shards: Int) throws {
        let load = SampledLoad(seed: 22, seconds: 300) { _ in 100 }
        for budget in [100, 1000] {
            let cost = try Self.kept("type: cost_budget, cost_budget: {spans_per_second: \(budget)}", load, shards: shards)
            #expect(abs(Self.mean(cost[30...]) / Double(budget) - 1) < 0.15, "\(Self.mean(cost[30...])) of \(budget)")
            let policy = "type: dynamic, dynamic: {goal_spans_per_second: \(budget), key: [model]}"
            let dynamic = try Self.kept(policy, load, shards: shards)
            #expect(abs(Self.mean(dynamic[30...]) / Double(budget) - 1) < 0.15, "\(Self.mean(dynamic[30...])) of \(budget)")
        }
    }

    @Test("a thin load keeps the budget too: windows go on until they say something")
    func thin() throws {
        // Six spans a second in traces of 20, one every three seconds and a half.
        let load = SampledLoad(seed: 23, seconds: 40_000) { _ in 0.3 }
        let kept = try Self.kept("type: cost_budget, cost_budget: {spans_per_second: 1}", load)
        let rate = Self.mean(kept[400...])
        #expect(abs(rate - 1) < 0.15, "\(rate)")
    }

    @Test("a load below the budget is kept whole, with counts of 1")
    func fits() throws {
        let load = SampledLoad(seed: 24, seconds: 60) { _ in 10 }
        let kept = try Self.kept("type: cost_budget, cost_budget: {spans_per_second: 1000}", load)
        #expect(kept.reduce(0, +) == load.spansPerSecond * load.seconds)
        let dynamic = try Self.kept("type: dynamic, dynamic: {goal_spans_per_second: 1000, key: [model]}", load)
        #expect(dynamic.reduce(0, +) == load.spansPerSecond * load.seconds)
    }

    @Test("the first seconds, without a threshold yet, keep a few budgets or a few dozen traces", arguments: [50.0, 500, 3000])
    func start(_ rate: Double) throws {
        let load = SampledLoad(seed: 25, seconds: 5) { _ in rate }
        let kept = try Self.kept("type: cost_budget, cost_budget: {spans_per_second: 100}", load)
        #expect(kept[0] < 1200 && kept[1] < 300, "\(kept)")
        // Windows of five seconds: a burst is what a whole one may have.
        let dynamic = try Self.kept("type: dynamic, dynamic: {goal_spans_per_second: 100, key: [model]}", load)
        #expect(dynamic[0] < 2500, "\(dynamic)")
    }

    @Test("a load that grows a hundredfold exceeds the budget for a moment only")
    func growth() throws {
        let load = SampledLoad(seed: 26, seconds: 40) { $0 < 30 ? 20 : 2000 }
        let kept = try Self.kept("type: cost_budget, cost_budget: {spans_per_second: 100}", load)
        #expect(kept[30] < 1200 && kept[31] < 300 && Self.mean(kept[33...]) < 130, "\(kept[30...])")
    }

    @Test("a silence changes nothing: the burst after it meets the threshold from before", arguments: [3, 100])
    func silence(_ seconds: Int) throws {
        let load = SampledLoad(seed: 27, seconds: 30 + seconds + 10) { $0 < 30 || $0 >= 30 + seconds ? 200 : 1e-9 }
        // The generator steps over the silence with one long gap; what counts is that the load is back after it.
        let kept = try Self.kept("type: cost_budget, cost_budget: {spans_per_second: 100}", load)
        #expect(kept[(30 + seconds)...].allSatisfy { $0 < 300 }, "\(kept[(30 + seconds)...])")
    }

    @Test("the dearest traces are certain, those without weight possible")
    func order() throws {
        let policies = try TestSampler("- {name: p, type: cost_budget, cost_budget: {spans_per_second: 50}}").config.policies
        var judge = TailJudge(policies, shards: 1, seed: 3)
        var random = SplitMix64(seed: 3)
        var free = 0
        var dearLost = 0
        for step in 0..<60_000 {
            var facts = TraceFacts()
            facts.spanCount = 1
            let isDear = step % 1000 == 0
            facts.costUSD = isDear ? 5 : step % 2 == 0 ? 0.01 : 0
            let id = TraceID(high: random.next(), low: random.next())
            let decision = judge.decide(facts, id, now: .milliseconds(step))
            if isDear, step > 5000, decision != TailDecision(isKept: true, policy: 0, adjustedCount: 1) { dearLost += 1 }
            if facts.costUSD == 0, decision.isKept { free += 1 }
        }
        #expect(dearLost == 0)
        #expect(free > 0)
    }

    @Test("one monstrous trace does not make the others alike, nor shut them out")
    func monster() throws {
        var load = SampledLoad(seed: 28, seconds: 60) { _ in 200 }
        for (index, position) in [load.traces.count / 3, load.traces.count / 2].enumerated() {
            var facts = load.traces[position].facts
            facts.costUSD = index == 0 ? 1e12 : 1e-9
            facts.spanCount = index == 0 ? 1 : 1_000_000
            load.traces[position] = SampledLoad.Trace(facts: facts, model: 0, time: load.traces[position].time)
        }
        let kept = try Self.kept("type: cost_budget, cost_budget: {spans_per_second: 200}", load)
        for second in 10..<60 where kept[second] < 1e6 {
            #expect(kept[second] > 20 || (30...34).contains(second), "\(second): \(kept[second])")
        }
        #expect(abs(Self.mean(kept[40...]) / 200 - 1) < 0.15)
    }

    @Test("costs that are NaN or infinite, and token sums at the limit, are decided about")
    func hostileWeights() throws {
        for weight in CostBudget.Weight.allCases {
            var budget = CostBudget(spansPerSecond: 10, weight: weight, shards: 1, seed: 1)
            for step in 0..<5000 {
                var facts = TraceFacts()
                facts.spanCount = step % 7 == 0 ? Int.max : 1
                facts.costUSD = [0, Double.nan, .infinity, -1, 1e12, .leastNonzeroMagnitude][step % 6]
                facts.totalTokens = [0, Int64.max, 5][step % 3]
                facts.earliestStart = 0
                facts.latestEnd = [0, UInt64.max][step % 2]
                let now = Int64(step) * 3_000_000
                budget.advance(to: step % 11 == 0 ? -now : now)
                let probability = budget.probability(facts)
                #expect(probability > 0 && probability <= 1)
                budget.note(facts, now: now)
            }
        }
    }

    // MARK: Dynamic

    @Test("dynamic keeps one trace in n, of rare keys more than of frequent ones")
    func rare() throws {
        let policies = try TestSampler("- {name: p, type: dynamic, dynamic: {goal_sample_rate: 20, key: [k]}}").config.policies
        var judge = TailJudge(policies, shards: 1, seed: 3)
        var random = SplitMix64(seed: 4)
        var kept = [0.0, 0]
        var seen = [0.0, 0]
        for step in 0..<200_000 {
            var facts = TraceFacts()
            facts.spanCount = 1
            facts.dynamicKey = step % 100 == 0 ? 1 : 0
            let decision = judge.decide(facts, TraceID(high: random.next(), low: random.next()), now: .milliseconds(step))
            guard step > 20_000 else { continue }
            seen[Int(facts.dynamicKey)] += 1
            if decision.isKept { kept[Int(facts.dynamicKey)] += 1 }
        }
        #expect(abs((kept[0] + kept[1]) / (seen[0] + seen[1]) * 20 - 1) < 0.05)
        #expect(kept[1] / seen[1] > 10 * kept[0] / seen[0])
    }

    @Test("a client that sends a new key with every trace gets neither the memory nor the whole goal")
    func manyKeys() throws {
        var rate = DynamicRate(goal: .spansPerSecond(100), keysMax: 50, shards: 1)
        var random = SplitMix64(seed: 6)
        var kept = 0.0
        var honest = 0.0
        for step in 0..<300_000 {
            var facts = TraceFacts()
            facts.spanCount = 1
            facts.dynamicKey = step % 10 == 0 ? 1 : random.next()
            rate.advance(to: Int64(step) * 1_000_000)
            let probability = rate.probability(facts)
            rate.note(facts, now: Int64(step) * 1_000_000)
            #expect(rate.keyCount <= 50)
            guard step > 50_000 else { continue }
            kept += probability
            if facts.dynamicKey == 1 { honest += probability }
        }
        #expect(abs(kept / 250 / 100 - 1) < 0.15, "\(kept / 250)")
        #expect(honest / 250 > 2)
    }

    @Test("a rare key after a silence is kept, and the clock may step back")
    func clock() {
        var rate = DynamicRate(goal: .sampleRate(10), keysMax: 5, shards: 1)
        var facts = TraceFacts()
        facts.spanCount = 1
        for step in [0, 100, 50, 10, 200, -5000, -4000, 7_000_000] {
            rate.advance(to: Int64(step) * 1_000_000_000)
            let probability = rate.probability(facts)
            #expect(probability > 0 && probability <= 1)
            rate.note(facts, now: Int64(step) * 1_000_000_000)
        }
    }
}
