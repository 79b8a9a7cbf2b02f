import Glibc
import OTLPWire
import Pipeline
import Testing

@testable import Sampling

/// Seeded runs of the sampler with everything that may come: duplicates, late spans, clocks that go back, limits that are reached.
@Suite struct TailSimulationTests {
    /// Runs each time; `TAIL_SIMULATION_RUNS` and `TAIL_SIMULATION_SEED` ask for more, or for one again.
    private static let runsDefault = 400

    private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    @Test func whateverComesEachSpanHasOneFateAndAllCountsAgree() throws {
        let runs = Self.number("TAIL_SIMULATION_RUNS") ?? Self.runsDefault
        let first = Self.number("TAIL_SIMULATION_SEED") ?? Int.random(in: 0..<1 << 40)
        var causes: [DecisionCause: Int] = [:]
        var keptCount = 0
        for seed in first..<first + runs {
            var run = try TailSimulation(seed: UInt64(seed))
            do {
                try run.play(steps: 60)
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
            causes.merge(run.ledger.causes) { $0 + $1 }
            keptCount += run.ledger.kept.count
        }
        // The runs have been where they should.
        guard runs >= Self.runsDefault else { return }
        for cause in [DecisionCause.due, .early, .late, .overflow, .tooLarge, .shutdown] { #expect(causes[cause, default: 0] > 100) }
        #expect(keptCount > 1_000)
    }
}

struct TailSimulation {
    private var random: SplitMix64
    let ledger: TailLedger
    private var now: Int64 = 0
    private let tracesInUse: UInt64
    private let wait: Int64

    init(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        func below(_ end: Int) -> Int { Int(random.next(upperBound: UInt64(end))) }
        func oneIn(_ times: Int) -> Bool { below(times) == 0 }
        let all = [
            TailPolicy.always, TailPolicy.errors, TailPolicy.slow, TailPolicy.many, TailPolicy.half, TailPolicy.fourth, TailPolicy.limited,
            TailPolicy.noHealth,
        ]
        var policies = all.filter { _ in oneIn(3) }
        if policies.isEmpty { policies = [TailPolicy.errors] }
        let hasSmallCaches = oneIn(3)
        wait = Int64(1 + below(5)) * 1_000_000_000
        var settings = ["decision_wait: \(wait / 1_000_000_000)s", "num_traces: \(oneIn(2) ? 1 + below(20) : 1_000)"]
        if oneIn(3) { settings.append("decision_wait_after_root_received: \(1 + below(1_500))ms") }
        if oneIn(3) { settings.append("decide_early: false") }
        if oneIn(4) { settings.append("maximum_trace_size_bytes: \(100 + below(1_000))") }
        if oneIn(4) { settings.append("block_on_overflow: true") }
        if oneIn(4) { settings.append("sample_on_first_match: true") }
        let sizes = hasSmallCaches ? (below(8), below(8)) : (1_000_000, 1_000_000)
        settings.append("decision_cache: {sampled_cache_size: \(sizes.0), non_sampled_cache_size: \(sizes.1)}")
        let config = try tailConfig(policies.shuffled(using: &random).joined(separator: "\n"), settings.joined(separator: "\n"))
        // Some requests' worth.
        let bytesMax = oneIn(3) ? 2_000 + below(40_000) : .max
        tracesInUse = UInt64(oneIn(2) ? 3 + below(10) : 200)
        ledger = TailLedger(config, shards: 1 + below(4), bytesMax: bytesMax, remembersAll: !hasSmallCaches)
        self.random = random
    }

    private mutating func below(_ end: Int) -> Int { Int(random.next(upperBound: UInt64(end))) }
    private mutating func oneIn(_ times: Int) -> Bool { below(times) == 0 }

    mutating func play(steps: Int) throws {
        for _ in 0..<steps {
            switch below(12) {
            case 0..<8:
                try add()
                try ledger.checkMemory()
            case 8:
                now += Int64(below(Int(wait)))
                try ledger.advance(to: now)
            case 9:
                // A clock that goes back, and one that stands.
                try ledger.advance(to: now - Int64(below(2)) * Int64(below(Int(wait))))
            case 10:
                now += Int64(below(Int(wait / 8)))
            default:
                if oneIn(4) { try ledger.decideHalf() } else { try ledger.advance(to: now + wait) }
            }
            try ledger.checkMemory()
        }
        if oneIn(2) {
            try ledger.decideAll()
        } else {
            _ = try ledger.takeAll()
        }
        try ledger.checkMemory()
        guard ledger.shards.heldBytes == 0, ledger.shards.traceCount == 0, ledger.shards.spanCount == 0 else {
            throw LedgerViolation(description: "something is held after the end")
        }
    }

    private mutating func add() throws {
        var spans: [TestSpan] = []
        for _ in 0...below(oneIn(5) ? 60 : 8) {
            // Often the same trace again, also the same span.
            if oneIn(2), let last = spans.last {
                spans.append(oneIn(4) ? last : span(last.traceID.1))
            } else {
                spans.append(span(1 + random.next(upperBound: tracesInUse)))
            }
        }
        var cuts: [Int] = []
        if oneIn(3) { cuts = Set((0..<below(5)).map { _ in below(spans.count) }).subtracting([0]).sorted() }
        let before = oneIn(4) ? SamplingDecision(adjustedCount: Double(1 + below(9)), reason: "head") : nil
        try ledger.add(spans, cuts: cuts, decision: before, at: oneIn(10) ? max(0, now - 3_000_000_000) : now)
    }

    private mutating func span(_ trace: UInt64) -> TestSpan {
        var span = TestSpan.of(trace, 1 + random.next(upperBound: 6), isError: oneIn(12), isRoot: oneIn(5))
        if oneIn(6) { span.traceState = "ot=th:\(["8", "c", "f", "zz"][below(4)])" }
        if oneIn(8) { span.start = [0, 1, .max, 1_900_000_000_000_000_000][below(4)] }
        if oneIn(8) { span.end = [0, 1, .max, span.start &+ 5_000_000_000][below(4)] }
        if oneIn(10) { span.attributes = [("route", .string("/health"))] }
        return span
    }
}
