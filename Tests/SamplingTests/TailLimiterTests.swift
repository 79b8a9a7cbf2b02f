import OTLPWire
import Testing

@testable import Sampling

@Suite struct TailLimiterTests {
    private static let second: Int64 = 1_000_000_000

    /// How many traces of so many spans are kept one after another at one time.
    private static func kept(_ judge: inout TailJudge, _ count: Int, spans: Int, bytes: Int = 0, now: Duration) -> Int {
        var facts = TraceFacts()
        facts.spanCount = spans
        facts.byteCount = bytes
        return (0..<count).count { judge.decide(facts, TraceID(high: 1, low: UInt64($0)), now: now).isKept }
    }

    @Test("rate_limiting: a burst of two seconds' worth, then the rate; a trace that does not fit leaves room for a smaller one")
    func rate() throws {
        var judge = try TestSampler("- {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 10}}").judge
        #expect(Self.kept(&judge, 100, spans: 3, now: .zero) == 6)
        #expect(Self.kept(&judge, 100, spans: 2, now: .zero) == 1)
        #expect(Self.kept(&judge, 100, spans: 1, now: .milliseconds(99)) == 0)
        #expect(Self.kept(&judge, 100, spans: 1, now: .milliseconds(100)) == 1)
        #expect(Self.kept(&judge, 100, spans: 1, now: .seconds(100)) == 20)
        #expect(Self.kept(&judge, 1, spans: 21, now: .seconds(200)) == 0)
    }

    @Test("bytes_limiting: by bytes, with the burst that is given")
    func bytes() throws {
        let policy = "- {name: r, type: bytes_limiting, bytes_limiting: {bytes_per_second: 1000, burst_capacity: 1500}}"
        var judge = try TestSampler(policy).judge
        #expect(Self.kept(&judge, 9, spans: 1, bytes: 500, now: .zero) == 3)
        #expect(Self.kept(&judge, 9, spans: 1, bytes: 500, now: .seconds(1)) == 2)
        #expect(Self.kept(&judge, 1, spans: 1, bytes: 1501, now: .seconds(100)) == 0)
        #expect(Self.kept(&judge, 1, spans: 1, bytes: 1500, now: .seconds(100)) == 1)
    }

    @Test("a clock that steps back gives nothing, and nothing twice when it comes forward again")
    func clockBack() {
        var bucket = TokenBucketLimiter(rate: 10, capacity: 10)
        #expect(bucket.take(10, now: 5 * Self.second) == true)
        #expect(bucket.take(1, now: -Self.second) == false)
        #expect(bucket.take(1, now: 5 * Self.second) == false)
        #expect(bucket.take(10, now: 6 * Self.second) == true)
        var seconds = SecondLimiter(spansPerSecond: 10)
        #expect(seconds.take(10, now: 5 * Self.second) == true)
        #expect(seconds.take(1, now: 4 * Self.second) == false)
        #expect(seconds.take(1, now: 6 * Self.second - 1) == false)
        #expect(seconds.take(10, now: 6 * Self.second) == true)
    }

    @Test("composite counts by seconds of the clock")
    func secondBoundary() {
        var limiter = SecondLimiter(spansPerSecond: 5)
        #expect(limiter.take(5, now: 2 * Self.second - 1) == true)
        #expect(limiter.take(1, now: 2 * Self.second - 1) == false)
        #expect(limiter.take(5, now: 2 * Self.second) == true)
        #expect(limiter.take(6, now: 9 * Self.second) == false)
    }

    @Test("shards share a rate: together they keep what one would", arguments: [1, 3, 8])
    func shards(_ shards: Int) throws {
        let policy = "- {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 100}}"
        let sampler = try TestSampler(policy)
        var judges = (0..<shards).map { _ in TailJudge(sampler.config.policies, shards: shards, seed: 1) }
        var kept = 0
        for step in 0..<1000 {
            for index in judges.indices { kept += Self.kept(&judges[index], 5, spans: 1, now: .milliseconds(step * 20)) }
        }
        // 20 seconds, and the burst of 2.
        #expect(abs(kept - 2200) <= 3 * shards)
    }

    @Test("a trace larger than a shard's part passes when it would pass with one shard, and is paid off afterwards")
    func largeTraces() throws {
        let policies = """
            - {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 40}}
            - name: c
              type: composite
              composite: {max_total_spans_per_second: 40, composite_sub_policy: [{name: all, type: always_sample}]}
            """
        for name in [0, 1] {
            var policies = try TestSampler(policies).config.policies
            policies.policies = [policies.policies[name]]
            var judge = TailJudge(policies, shards: 8, seed: 1)
            var kept = 0
            for second in 0..<400 { kept += Self.kept(&judge, 3, spans: 30, now: .seconds(second)) }
            // 5 spans a second are this shard's: 400 seconds' worth are 66 traces of 30.
            #expect((66...68).contains(kept))
            #expect(Self.kept(&judge, 1, spans: 81, now: .seconds(9999)) == 0)
        }
    }

    @Test("a limiter in an and counts only traces that meet the conditions, wherever it is written")
    func andWithLimiter() throws {
        let policy = """
            - name: a
              type: and
              and:
                and_sub_policy:
                  - {type: rate_limiting, rate_limiting: {spans_per_second: 5}}
                  - {type: span_count, span_count: {min_spans: 2}}
                  - {type: probabilistic, probabilistic: {sampling_percentage: 50}}
            """
        var judge = try TestSampler(policy).judge
        #expect(Self.kept(&judge, 100, spans: 1, now: .zero) == 0)
        var facts = TraceFacts()
        facts.spanCount = 2
        var kept: [TailDecision] = []
        for id in 0..<400 {
            let decision = judge.decide(facts, TraceID(high: 3, low: UInt64(id) &* 0x9E37_79B9_7F4A_7C15), now: .zero)
            if decision.isKept { kept.append(decision) }
        }
        // What the draw refuses takes nothing out of the bucket of ten spans.
        #expect(kept.map(\.adjustedCount) == [2, 2, 2, 2, 2])
    }

    @Test("what a policy before keeps for certain takes nothing from a limiter")
    func limiterAfterCertain() throws {
        let policies = """
            - {name: big, type: span_count, span_count: {min_spans: 2}}
            - {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 5}}
            """
        var judge = try TestSampler(policies).judge
        #expect(Self.kept(&judge, 100, spans: 2, now: .zero) == 100)
        #expect(Self.kept(&judge, 100, spans: 1, now: .zero) == 10)
    }
}
