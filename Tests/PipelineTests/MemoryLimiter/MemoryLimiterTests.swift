import Configuration
import SelfTelemetry
import Synchronization
import Testing
@testable import Pipeline

@Suite struct MemoryLimiterConfigTests {
    private static let mib = 1 << 20

    private func problems(_ yaml: String) throws -> [String] {
        let section = try ConfigSection(yaml: yaml)
        _ = MemoryLimiterConfig(from: section)
        return section.problemMessages
    }

    private func bounds(_ yaml: String, total: Int) throws -> MemoryLimiterConfig.Bounds {
        MemoryLimiterConfig(from: try ConfigSection(yaml: yaml)).bounds(totalBytes: total)
    }

    @Test func `limits in MiB win over percentages`() throws {
        let bounds = try bounds(
            "{check_interval: 5s, limit_mib: 400, spike_limit_mib: 50, limit_percentage: 10, spike_limit_percentage: 5}", total: 1 << 40)
        #expect(bounds == .init(limitBytes: 400 * Self.mib, spikeBytes: 50 * Self.mib))
    }

    @Test func `percentages are of all the memory there is`() throws {
        let bounds = try bounds("{limit_percentage: 75, spike_limit_percentage: 30}", total: 1000 * Self.mib)
        #expect(bounds == .init(limitBytes: 750 * Self.mib, spikeBytes: 300 * Self.mib))
    }

    @Test func `the spike limit is a fifth of the limit unless it is given`() throws {
        #expect(try bounds("limit_mib: 100", total: 0).spikeBytes == 20 * Self.mib)
        #expect(try bounds("limit_percentage: 50", total: 1000 * Self.mib).spikeBytes == 100 * Self.mib)
    }

    @Test func `a percentage of the largest memory does not overflow`() throws {
        #expect(try bounds("limit_percentage: 100", total: .max).limitBytes > .max / 2)
    }

    @Test func `a file for the Go collector is taken as it is`() throws {
        let yaml = """
            {check_interval: 1s, limit_mib: 4000, spike_limit_mib: 800, min_gc_interval_when_soft_limited: 10s,
             min_gc_interval_when_hard_limited: 0s, max_gc_interval_when_soft_limited: 30s, max_gc_interval_when_hard_limited: 30s}
            """
        #expect(try problems(yaml) == [])
    }

    @Test(arguments: [
        ("{}", "limit_mib or limit_percentage must be greater than zero"),
        ("{limit_mib: 0}", "limit_mib or limit_percentage must be greater than zero"),
        ("{limit_mib: 10, spike_limit_mib: 10}", "spike_limit_mib must be smaller than limit_mib"),
        ("{limit_percentage: 10, spike_limit_percentage: 10}", "spike_limit_percentage must be smaller than limit_percentage"),
        ("{limit_percentage: 101}", "must be from 0 to 100"), ("{limit_mib: -1}", "must be from 0 to"),
        ("{limit_mib: 10, check_interval: 0s}", "must be greater than zero"),
        ("{limit_mib: 10, min_gc_interval_when_hard_limited: 11s}", "must not be shorter than min_gc_interval_when_hard_limited"),
        ("{limit_mib: 10, max_gc_interval_when_soft_limited: 9s}", "must not be shorter than min_gc_interval_when_soft_limited"),
        ("{limit_mib: 10, limit: 5}", "unknown key 'limit'"),
    ])
    func `what the Go collector refuses is a problem`(yaml: String, message: String) throws {
        let found = try problems(yaml)
        #expect(found.contains { $0.contains(message) }, "\(found)")
    }
}

@Suite struct MemoryLimiterTests {
    private let budget = MemoryBudget(MemoryLimits(softBytes: 80, hardBytes: 100))
    private let next = RecordingConsumer()
    private let registry = MetricRegistry()

    private func limiter() -> MemoryLimiter<Numbers> {
        MemoryLimiter(id: "memory_limiter", itemName: "spans", budget: budget, next: next, registry: registry)
    }

    @Test func `asks for patience from the soft limit on, whatever comes after it says`() {
        let limiter = limiter()
        budget.charge(79)
        #expect(limiter.admission == .accepted)
        budget.charge(1)
        #expect(limiter.admission == .retryable(.memoryLimit, after: nil))
        budget.release(1)
        next.refuse(.retryable(.queueFull, after: nil))
        #expect(limiter.admission == .retryable(.queueFull, after: nil))
    }

    @Test func `passes on what has come so far, since it is counted already`() {
        let limiter = limiter()
        budget.charge(200)
        #expect(limiter.consume(Numbers(0..<3)) == .accepted)
        #expect(next.received == [Numbers(0..<3)])
        next.refuse(.retryable(.queueFull, after: nil))
        #expect(limiter.consume(Numbers(3..<5)) == .retryable(.queueFull, after: nil))
        let text = registry.prometheusText()
        #expect(text.contains("otelcol_processor_memory_limiter_accepted_spans_total{processor=\"memory_limiter\"} 3"))
        #expect(text.contains("otelcol_processor_memory_limiter_refused_spans_total{processor=\"memory_limiter\"} 2"))
    }
}

@Suite struct MemoryBudgetLimitsTests {
    @Test func `bodies stop at the soft limit and what is in may grow to the hard one`() {
        let budget = MemoryBudget(MemoryLimits(softBytes: 80, hardBytes: 100))
        #expect(budget.tryReserve(80))
        #expect(!budget.tryReserve(1))
        #expect(budget.isExhausted)
        #expect(budget.reserveWork(20, holding: 10) == .reserved)
        #expect(budget.reserveWork(1, holding: 10) == .full)
        #expect(budget.usedBytes == 100)
    }

    @Test func `a request is not refused for what it holds itself`() {
        let budget = MemoryBudget(MemoryLimits(softBytes: 80, hardBytes: 100))
        #expect(budget.tryReserve(90))
        #expect(budget.admission(holding: 90) == .accepted)
        #expect(budget.admission(holding: 10) == .retryable(.memoryLimit, after: nil))
    }

    @Test func `with a given limit, what would never fit is refused for good`() {
        let budget = MemoryBudget(MemoryLimits(softBytes: 80, hardBytes: 100, takesOversized: false))
        #expect(budget.reserveWork(101, holding: 0) == .neverFits)
        #expect(budget.tryReserve(41))
        #expect(budget.reserveWork(60, holding: 41) == .neverFits)
        #expect(budget.usedBytes == 41)
        #expect(budget.currentLimits.messageBytesMax == 33)
    }

    @Test func `by default one oversized request at a time overshoots`() {
        let budget = MemoryBudget(MemoryLimits(softBytes: 80, hardBytes: 100))
        #expect(budget.tryReserve(70))
        #expect(budget.reserveWork(140, holding: 70) == .reserved)
        #expect(budget.reserveWork(140, holding: 0) == .full)
        #expect(budget.reserveWork(10, holding: 0) == .full)
        budget.release(210)
        #expect(budget.reserveWork(140, holding: 0) == .reserved)
    }

    @Test func `a changed limit holds for the next request and wakes who waits`() {
        let budget = MemoryBudget(limitBytes: 10)
        #expect(budget.tryReserve(10))
        #expect(!budget.tryReserve(1))
        let woken = Mutex(0)
        budget.whenAvailable { woken.withLock { $0 += 1 } }
        #expect(woken.withLock { $0 } == 0)
        budget.currentLimits = MemoryLimits(softBytes: 100, hardBytes: 200)
        #expect(woken.withLock { $0 } == 1)
        #expect(budget.tryReserve(1))
        budget.currentLimits = MemoryLimits(softBytes: 5, hardBytes: 5)
        #expect(!budget.tryReserve(1))
    }
}
