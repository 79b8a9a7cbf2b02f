import OTLPWire
import Testing

@testable import Sampling

/// Early decisions: what is settled stays.
@Suite struct TailSettledTests {
    /// Policies, conditions and spans by chance.
    struct World {
        var random: SplitMix64
        var policies = TailPolicies()
        static let criteria = 6

        init(seed: UInt64) {
            random = SplitMix64(seed: seed)
            policies.stopsAtFirstMatch = Bool.random(using: &random)
            for index in 0..<Int.random(in: 1...5, using: &random) {
                let isDrop = Int.random(in: 0..<5, using: &random) == 0
                let node = isDrop ? condition(2) : policy()
                policies.policies.append(TailPolicies.Policy(name: "p\(index)", node: node, isDrop: isDrop))
            }
        }

        private mutating func probability() -> Double { [0, 0.2, 0.5, 0.9, 1][Int.random(in: 0..<5, using: &random)] }

        private mutating func condition(_ depth: Int) -> PolicyNode {
            switch Int.random(in: 0...(depth == 0 ? 7 : 9), using: &random) {
            case 0: return .always
            case 1: return .criterion(Int.random(in: 0..<Self.criteria, using: &random), inverted: Bool.random(using: &random))
            case 2:
                let threshold = UInt64.random(in: 0...60, using: &random)
                return .latency(threshold: threshold, upper: Bool.random(using: &random) ? threshold + 30 : nil)
            case 3:
                let least = Int.random(in: 0...4, using: &random)
                return .spanCount(min: least, max: Bool.random(using: &random) ? least + 2 : nil)
            case 4: return .cost(atLeast: Double.random(in: 0...3, using: &random))
            case 5: return .tokens(total: Int64.random(in: 0...200, using: &random), prompt: nil, completion: 10)
            case 6: return .random(policies.saltedSource("\(Int.random(in: 0...2, using: &random))"), probability: probability())
            case 7:
                let rules = (0..<2).map { _ in (criterion: Int.random(in: 0..<Self.criteria, using: &random), probability: probability()) }
                return .rules(rules, policies.independentSource())
            case 8: return .and((0..<2).map { _ in condition(depth - 1) })
            default: return .not(condition(depth - 1))
            }
        }

        private mutating func policy() -> PolicyNode {
            switch Int.random(in: 0..<12, using: &random) {
            case 0:
                policies.limiters.append(.spansPerSecond(3, burst: 6))
                return .limiter(policies.limiters.count - 1)
            case 1:
                policies.weighted.append(.costBudget(spansPerSecond: 2, weight: .cost))
                return .and([condition(1), .weighted(policies.weighted.count - 1, policies.independentSource())])
            case 2:
                let parts = (0..<2).map { CompositeLimiter.Part(name: "\($0)", node: condition(1), spansPerSecond: 4) }
                policies.limiters.append(.composite(CompositeLimiter(parts: parts, maxSpansPerSecond: 8)))
                return .limiter(policies.limiters.count - 1)
            case 3:
                policies.weighted.append(.dynamic(.sampleRate(2), keysMax: 4))
                return .weighted(policies.weighted.count - 1, policies.independentSource())
            default: return condition(2)
            }
        }

        /// One more span, with figures and times as hostile as they come.
        mutating func extend(_ facts: inout TraceFacts) throws {
            var span = TestSpan()
            let base: UInt64 = 1_000_000_000
            let times: [UInt64] = [0, 1, base, base + 40_000_000, base + 90_000_000, .max]
            span.start = Int.random(in: 0..<8, using: &random) == 0 ? times[Int.random(in: 0..<6, using: &random)] : base
            span.end =
                Int.random(in: 0..<8, using: &random) == 0
                ? times[Int.random(in: 0..<6, using: &random)] : base + .random(in: 0...50_000_000, using: &random)
            span.parent = UInt64.random(in: 0...1, using: &random)
            let costs: [Double?] = [nil, 0, 0.5, 2, -1, .nan, .infinity, -.infinity]
            let tokens: [Int64?] = [nil, 0, 7, 60, -5, .max, .min]
            let spend = SpanSpend(
                costUSD: costs[Int.random(in: 0..<costs.count, using: &random)],
                promptTokens: tokens[Int.random(in: 0..<tokens.count, using: &random)],
                completionTokens: tokens[Int.random(in: 0..<tokens.count, using: &random)],
                totalTokens: tokens[Int.random(in: 0..<tokens.count, using: &random)])
            var met = CriteriaSet()
            if Int.random(in: 0..<3, using: &random) == 0 { met.insert(Int.random(in: 0..<Self.criteria, using: &random)) }
            let batch = try TestSpan.batch([span])
            facts.add(batch[0], met: met, byteCount: 100, spend: Bool.random(using: &random) ? spend : nil) { 5 }
        }
    }

    @Test("once settled, no further span changes decision, reason or adjusted count", arguments: 0..<20)
    func settledStays(_ part: Int) throws {
        var settled = 0
        var early: Set<Bool> = []
        for seed in 0..<60 {
            var world = World(seed: UInt64(part * 1000 + seed))
            var judge = TailJudge(world.policies, shards: 2, seed: 9)
            for trace in 0..<8 {
                let id = TraceID(high: world.random.next(), low: world.random.next())
                var facts = TraceFacts()
                var promised: TailDecision?
                for step in 0..<Int.random(in: 1...7, using: &world.random) {
                    try world.extend(&facts)
                    let now = judge.settled(facts, id)
                    if let promised {
                        #expect(now == promised, "seed \(part * 1000 + seed), trace \(trace), span \(step)")
                    } else if let now {
                        promised = now
                        settled += 1
                        early.insert(now.isKept)
                    }
                    if step > 0, Bool.random(using: &world.random) {
                        // A decision about the trace as it is, at any time, comes to the same.
                        var copy = judge
                        let decision = copy.decide(facts, id, now: .seconds(Int.random(in: 0...100, using: &world.random)))
                        #expect(promised == nil || decision == promised, "seed \(part * 1000 + seed), trace \(trace), span \(step)")
                    }
                }
                let decision = judge.decide(facts, id, now: .seconds(trace))
                #expect(promised == nil || decision == promised, "seed \(part * 1000 + seed), trace \(trace)")
                #expect(decision.adjustedCount >= 1 && decision.adjustedCount.isFinite)
            }
        }
        #expect(settled > 60 && early == [true, false])
    }

    @Test("a sampler of draws alone is settled with the first span, one with a condition when it is met")
    func early() throws {
        let random = try TestSampler("- {name: p, type: probabilistic, probabilistic: {sampling_percentage: 50}}")
        let facts = try random.facts([TestSpan()])
        #expect(random.judge.settled(facts, TraceID(high: 1, low: 1)) != nil)
        let errors = try TestSampler(
            """
            - {name: e, type: status_code, status_code: {status_codes: [ERROR]}}\n- {name: p, type: probabilistic, \
            probabilistic: {sampling_percentage: 50}}
            """
        )
        #expect(errors.judge.settled(facts, TraceID(high: 1, low: 1)) == nil)
        let failed = try errors.facts([TestSpan(), TestSpan(status: 2)])
        #expect(errors.judge.settled(failed, TraceID(high: 1, low: 1)) == TailDecision(isKept: true, policy: 0, adjustedCount: 1))
    }

    @Test("an open drop or an open policy before keeps a trace open")
    func open() throws {
        let keep = "- {name: k, type: always_sample}"
        let drop = "- {name: d, type: drop, drop: {drop_sub_policy: [{type: trace_flags}]}}"
        let sampler = try TestSampler("\(keep)\n\(drop)")
        #expect(sampler.judge.settled(try sampler.facts([TestSpan()]), TraceID(high: 1, low: 1)) == nil)
        let dropped = sampler.judge.settled(try sampler.facts([TestSpan(flags: 1)]), TraceID(high: 1, low: 1))
        #expect(dropped == TailDecision(isKept: false, policy: 1, adjustedCount: 1))
        // The reason would change.
        let reason = try TestSampler("- {name: f, type: trace_flags}\n\(keep)")
        #expect(reason.judge.settled(try reason.facts([TestSpan()]), TraceID(high: 1, low: 1)) == nil)
    }

    @Test("traces whose clocks disagree, and spans without times, have sane durations")
    func durations() throws {
        func duration(_ times: [(UInt64, UInt64)]) throws -> UInt64 {
            var facts = TraceFacts()
            for (start, end) in times {
                var span = TestSpan()
                (span.start, span.end) = (start, end)
                facts.add(try TestSpan.batch([span])[0], met: CriteriaSet(), byteCount: 1, spend: nil) { 0 }
            }
            return facts.durationNano
        }
        #expect(try duration([(100, 50)]) == 0)
        #expect(try duration([(0, 0)]) == 0)
        #expect(try duration([(0, 50)]) == 0)
        #expect(try duration([(100, 0), (50, 70)]) == 20)
        #expect(try duration([(1, .max)]) == .max - 1)
        #expect(try duration([(.max, .max)]) == 0)
        #expect(try duration([(0, 500), (400, 0)]) == 100)
    }

    @Test("costs and tokens of hostile spans neither overflow nor shrink nor become NaN")
    func figures() throws {
        var facts = TraceFacts()
        let span = try TestSpan.batch([TestSpan()])
        for cost in [Double.nan, .infinity, -.infinity, -5, 1e300, 1] {
            let before = facts
            facts.add(
                span[0], met: CriteriaSet(), byteCount: 1,
                spend: SpanSpend(costUSD: cost, promptTokens: .max, completionTokens: .min, totalTokens: -1)
            ) { 0 }
            #expect(facts.costUSD >= before.costUSD && facts.costUSD.isFinite)
            #expect(facts.promptTokens == .max && facts.completionTokens == 0 && facts.totalTokens == 0)
        }
    }
}
