import OTLPWire
import Testing

@testable import Sampling

/// How policies work together: who wins, who is named as the reason, and what a kept trace counts.
@Suite struct TailCombinationTests {
    static let error = TestSpan(status: 2)
    static let plain = TestSpan()

    private static let errors = "type: status_code, status_code: {status_codes: [ERROR]}"
    private static let gold = "type: string_attribute, string_attribute: {key: tier, values: [gold]}"
    private static func percent(_ percent: Double, salt: String = "") -> String {
        "type: probabilistic, probabilistic: {sampling_percentage: \(percent), hash_salt: '\(salt)'}"
    }

    private func goldError() -> TestSpan {
        var span = TestSpan.with(("tier", .string("gold")))
        span.status = 2
        return span
    }

    @Test("without a policy that holds a trace is dropped, and no policy is named")
    func noneHolds() throws {
        var sampler = try TestSampler("- {name: a, \(Self.errors)}\n- {name: b, \(Self.gold)}")
        #expect(try sampler.decide([Self.plain]) == TailDecision(isKept: false, policy: nil, adjustedCount: 1))
    }

    @Test("any policy that keeps keeps; the first one is the reason")
    func anyKeeps() throws {
        var sampler = try TestSampler("- {name: a, \(Self.errors)}\n- {name: b, \(Self.gold)}\n- {name: c, \(Self.gold)}")
        #expect(try sampler.decide([Self.error]) == TailDecision(isKept: true, policy: 0, adjustedCount: 1))
        #expect(try sampler.decide([.with(("tier", .string("gold")))]) == TailDecision(isKept: true, policy: 1, adjustedCount: 1))
        #expect(try sampler.decide([goldError()]) == TailDecision(isKept: true, policy: 0, adjustedCount: 1))
    }

    @Test("a drop that holds beats every keep, wherever it stands", arguments: [true, false])
    func dropWins(isFirst: Bool) throws {
        let drop = "- {name: d, type: drop, drop: {drop_sub_policy: [{name: x, \(Self.gold)}, {name: y, \(Self.errors)}]}}"
        let keep = "- {name: k, type: always_sample}"
        var sampler = try TestSampler(isFirst ? "\(drop)\n\(keep)" : "\(keep)\n\(drop)")
        // All parts of the drop must hold.
        #expect(try sampler.decide([goldError()]) == TailDecision(isKept: false, policy: isFirst ? 0 : 1, adjustedCount: 1))
        #expect(try sampler.decide([Self.error]).isKept)
        // Parts are conditions on the trace: two spans may meet them.
        #expect(try !sampler.decide([Self.error, .with(("tier", .string("gold")))]).isKept)
    }

    @Test("and holds when all of its parts do, not when one does")
    func and() throws {
        var sampler = try TestSampler("- {name: a, type: and, and: {and_sub_policy: [{name: x, \(Self.gold)}, {name: y, \(Self.errors)}]}}")
        #expect(try sampler.keeps(goldError()))
        #expect(try !sampler.keeps(Self.error))
        #expect(try !sampler.keeps(.with(("tier", .string("gold")))))
    }

    @Test("combinations can be nested")
    func nested() throws {
        var sampler = try TestSampler(
            """
            - name: a
              type: and
              and:
                and_sub_policy:
                  - {name: x, \(Self.errors)}
                  - name: y
                    type: not
                    not:
                      not_sub_policy:
                        name: z
                        type: and
                        and: {and_sub_policy: [{\(Self.gold)}, {type: span_count, span_count: {min_spans: 2}}]}
            """)
        #expect(try sampler.keeps(goldError()))
        #expect(try !sampler.decide([goldError(), Self.plain]).isKept)
        #expect(try sampler.decide([Self.error, Self.plain]).isKept)
        #expect(try !sampler.keeps(Self.plain))
    }

    // MARK: Adjusted counts

    private func adjusted(_ policies: String, _ span: TestSpan = plain, settings: String = "") throws -> [Int?: Set<Double>] {
        var sampler = try TestSampler(policies, settings: settings)
        var counts: [Int?: Set<Double>] = [:]
        for id in 1...400 {
            let decision = try sampler.decide([span], id: UInt64(id) &* 0x9E37_79B9_7F4A_7C15)
            if decision.isKept { counts[decision.policy, default: []].insert((decision.adjustedCount * 1e6).rounded() / 1e6) }
        }
        return counts
    }

    @Test("certain beats drawn: what is kept anyway counts 1, the first that held being the reason")
    func certainAndDrawn() throws {
        let counts = try adjusted("- {name: a, \(Self.percent(25))}\n- {name: b, \(Self.errors)}", Self.error)
        #expect(counts == [0: [1], 1: [1]])
    }

    @Test("independent draws: 1 / (1 - (1 - p)(1 - q)), whichever of them held")
    func independentDraws() throws {
        let counts = try adjusted("- {name: a, \(Self.percent(25, salt: "x"))}\n- {name: b, \(Self.percent(50, salt: "y"))}")
        #expect(counts == [0: [1.6], 1: [1.6]])
    }

    @Test("draws of one salt are one draw: 1 / max(p, q)")
    func sameSalt() throws {
        let counts = try adjusted("- {name: a, \(Self.percent(25))}\n- {name: b, \(Self.percent(50))}")
        #expect(counts == [0: [2], 1: [2]])
    }

    @Test("an and of draws: 1 / (p q); of one salt 1 / min(p, q)")
    func conjunctionOfDraws() throws {
        func and(_ left: String, _ right: String) -> String {
            "- {name: a, type: and, and: {and_sub_policy: [{\(left)}, {\(right)}]}}"
        }
        #expect(try adjusted(and(Self.percent(50, salt: "x"), Self.percent(25, salt: "y"))) == [0: [8]])
        #expect(try adjusted(and(Self.percent(50), Self.percent(25))) == [0: [4]])
    }

    @Test("a not of a draw: 1 / (1 - p)")
    func negatedDraw() throws {
        #expect(try adjusted("- {name: a, type: not, not: {not_sub_policy: {\(Self.percent(75))}}}") == [0: [4]])
    }

    @Test("a drop by chance: what survives counts for what was dropped")
    func drawnDrop() throws {
        let drop = "- {name: d, type: drop, drop: {drop_sub_policy: [{\(Self.percent(75, salt: "d"))}]}}"
        #expect(try adjusted("\(drop)\n- {name: k, type: always_sample}") == [1: [4]])
        #expect(try adjusted("\(drop)\n- {name: k, \(Self.percent(50, salt: "k"))}") == [1: [8]])
        // The same source: kept between 75 % and 100 % of the draws.
        let same = "- {name: d, type: drop, drop: {drop_sub_policy: [{\(Self.percent(75))}]}}"
        #expect(try adjusted("\(same)\n- {name: k, type: always_sample}") == [1: [4]])
    }

    @Test("sample_on_first_match changes the reasons of nobody and the adjusted count of nobody")
    func firstMatch() throws {
        let policies = "- {name: a, \(Self.percent(25, salt: "x"))}\n- {name: b, \(Self.percent(50, salt: "y"))}"
        #expect(try adjusted(policies, settings: "sample_on_first_match: true") == [0: [1.6], 1: [1.6]])
    }

    @Test("sample_on_first_match spares the limiters after the first match")
    func firstMatchSparesLimiters() throws {
        let policies = "- {name: a, \(Self.percent(50))}\n- {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 10}}"
        for (isOn, expected) in [(true, 20), (false, 10)] {
            var sampler = try TestSampler(policies, settings: "sample_on_first_match: \(isOn)")
            var limited = 0
            for id in 1...400 {
                let decision = try sampler.decide([Self.plain], id: UInt64(id) &* 0x9E37_79B9_7F4A_7C15)
                if decision.policy == 1 { limited += 1 }
            }
            // The bucket holds two seconds' worth. Without the setting about half of it goes to traces that are kept anyway.
            #expect(abs(limited - expected) <= (isOn ? 0 : 7), "\(isOn)")
        }
    }

    // MARK: Composite

    private static let composite = """
        - name: c
          type: composite
          composite:
            max_total_spans_per_second: 100
            policy_order: [gold, errors]
            composite_sub_policy:
              - {name: rest, type: always_sample}
              - {name: errors, \(errors)}
              - {name: gold, \(gold)}
            rate_allocation:
              - {policy: errors, percent: 50}
              - {policy: gold, percent: 20}
        """

    @Test("composite: the first sub-policy of the order that holds decides, by its own share; those not named share the rest")
    func composite() throws {
        var sampler = try TestSampler(Self.composite)
        func kept(_ span: TestSpan, second: Int64) throws -> Int {
            try (0..<200).count { _ in try sampler.decide([span], now: .seconds(second)).isKept }
        }
        #expect(try kept(goldError(), second: 0) == 20)
        #expect(try kept(Self.error, second: 0) == 50)
        #expect(try kept(Self.plain, second: 0) == 30)
        #expect(try kept(Self.plain, second: 0) == 0)
        #expect(try kept(Self.error, second: 1) == 50)
    }

    @Test("composite with a sub-policy by chance: the rest falls to the next, and the adjusted count says so")
    func drawnComposite() throws {
        let policy = """
            - name: c
              type: composite
              composite:
                max_total_spans_per_second: 1000000
                composite_sub_policy:
                  - {name: some, \(Self.percent(25))}
                  - {name: errors, \(Self.errors)}
            """
        #expect(try adjusted(policy) == [0: [4]])
        #expect(try adjusted(policy, Self.error) == [0: [1]])
    }

    // MARK: Limits of the arithmetic

    @Test("probabilities are exact over many sources: compared with trying all of them")
    func exactProbability() {
        var random = SplitMix64(seed: 11)
        for _ in 0..<200 {
            let sources = (0..<4).map { RandomSource(kind: .independent, number: $0) }
            func formula(_ depth: Int) -> DrawFormula {
                switch Int.random(in: 0...(depth == 0 ? 0 : 2), using: &random) {
                case 1: .conjunction([formula(depth - 1), formula(depth - 1)])
                case 2: .negation(formula(depth - 1))
                default: .drawn(sources[Int.random(in: 0..<4, using: &random)], Double(Int.random(in: 0...4, using: &random)) / 4)
                }
            }
            let keeps = (0..<3).map { _ in formula(2) }
            let drops = (0..<Int.random(in: 0...1, using: &random)).map { _ in formula(2) }
            var held = 0
            for point in 0..<256 {
                let draw = { (source: RandomSource) in Double(point >> (2 * source.number) & 3) / 4 + 0.125 }
                if !drops.contains(where: { $0.holds(draw) }), keeps.contains(where: { $0.holds(draw) }) { held += 1 }
            }
            #expect(abs(KeepProbability.of(keeps: keeps, drops: drops) - Double(held) / 256) < 1e-12)
        }
    }
}
