import Configuration
import Pipeline
import Testing
@testable import Collector

@Suite struct MemoryPlanTests {
    private static let mib = 1 << 20
    private static let large = MemoryCeiling(bytes: 64 << 30, origin: .machine)
    private static let process = CollectorLimits.processBytes

    private func limiter(_ yaml: String) throws -> MemoryLimiterConfig { MemoryLimiterConfig(from: try ConfigSection(yaml: yaml)) }

    private func demand(_ limiters: [MemoryLimiterConfig] = [], exporters: [Int] = [8 << 20], hasLog: Bool = true, loops: Int = 2)
        -> MemoryPlan.Demand
    {
        MemoryPlan.Demand(limiters: limiters, exporterBytes: exporters, listeners: 2, eventLoops: loops, hasLog: hasLog)
    }

    @Test func `without a limiter requests get 96 MiB, and one oversized request is taken`() {
        let plan = MemoryPlan(demand(), ceiling: Self.large)
        #expect(plan.limits.hardBytes == 96 * Self.mib)
        #expect(plan.limits.softBytes == Int(96.0 * 0.8 * Double(Self.mib)))
        #expect(plan.limits.takesOversized)
        #expect(!plan.exceedsCeiling)
    }

    @Test(arguments: [16, 32, 64, 128, 200, 512, 4096], [1, 2, 16])
    func `a given limit is the sum of everything but the process itself`(limit: Int, loops: Int) throws {
        let plan = MemoryPlan(demand([try limiter("limit_mib: \(limit)")], exporters: [1 << 20], loops: loops), ceiling: Self.large)
        #expect(plan.sumBytes <= limit * Self.mib + Self.process)
        #expect(plan.limits.hardBytes >= limit * Self.mib / 4)
        #expect(!plan.limits.takesOversized)
    }

    @Test func `the soft limit leaves the spike's part of the requests' budget`() throws {
        let plan = MemoryPlan(demand([try limiter("{limit_mib: 400, spike_limit_mib: 100}")]), ceiling: Self.large)
        #expect(abs(Double(plan.limits.softBytes) / Double(plan.limits.hardBytes) - 0.75) < 0.001)
    }

    @Test func `a tail sampler's undecided traces come on top of the requests' budget, at most a quarter of the memory`() {
        var wanted = demand()
        let plain = MemoryPlan(wanted, ceiling: Self.large)
        wanted.undecidedBytes = [.max]
        let plan = MemoryPlan(wanted, ceiling: Self.large)
        #expect(plan.undecidedBytesMax == CollectorLimits.undecidedBytes)
        #expect(plan.limits.softBytes == plain.limits.softBytes + CollectorLimits.undecidedBytes)
        #expect(plan.pipelineBytesMax == plain.pipelineBytesMax + CollectorLimits.undecidedBytes)
        #expect(plan.queueBytesMax == plain.queueBytesMax)
        wanted.undecidedBytes = [100 * Self.mib]
        #expect(MemoryPlan(wanted, ceiling: Self.large).undecidedBytesMax == 100 * Self.mib)
        wanted.undecidedBytes = [.max]
        let small = MemoryPlan(wanted, ceiling: MemoryCeiling(bytes: 1 << 30, origin: .controlGroup))
        #expect(small.undecidedBytesMax == 256 * Self.mib && !small.exceedsCeiling)
    }

    @Test func `with a limit undecided traces are part of it`() throws {
        var wanted = demand([try limiter("limit_mib: 200")])
        let plain = MemoryPlan(wanted, ceiling: Self.large)
        wanted.undecidedBytes = [.max]
        let plan = MemoryPlan(wanted, ceiling: Self.large)
        #expect(plan.sumBytes == plain.sumBytes && plan.limits == plain.limits)
        #expect(plan.undecidedBytesMax > 0 && plan.undecidedBytesMax < plan.pipelineBytesMax)
    }

    @Test func `of several limiters the smallest holds`() throws {
        let small = MemoryPlan(demand([try limiter("limit_mib: 64")]), ceiling: Self.large)
        let both = MemoryPlan(demand([try limiter("limit_mib: 256"), try limiter("limit_mib: 64")]), ceiling: Self.large)
        #expect(small == both)
    }

    @Test func `percentages are of the control group's memory`() throws {
        let plan = MemoryPlan(
            demand([try limiter("limit_percentage: 50")]), ceiling: MemoryCeiling(bytes: 512 * Self.mib, origin: .controlGroup))
        #expect(abs(plan.sumBytes - (256 * Self.mib + Self.process)) < Self.mib)
        #expect(!plan.exceedsCeiling)
    }

    @Test(arguments: [160, 128, 100, 96])
    func `a small control group lowers the default so that the sum fits`(group: Int) {
        let plan = MemoryPlan(demand(), ceiling: MemoryCeiling(bytes: group * Self.mib, origin: .controlGroup))
        #expect(plan.limits.hardBytes < 96 * Self.mib)
        #expect(!plan.limits.takesOversized)
        #expect(plan.sumBytes <= group * Self.mib)
        #expect(!plan.exceedsCeiling)
    }

    @Test func `a limit beyond the memory there is gets noticed`() throws {
        let group = MemoryCeiling(bytes: 256 * Self.mib, origin: .controlGroup)
        #expect(MemoryPlan(demand([try limiter("limit_percentage: 90")]), ceiling: group).exceedsCeiling)
        #expect(!MemoryPlan(demand([try limiter("limit_percentage: 70")]), ceiling: group).exceedsCeiling)
        #expect(MemoryPlan(demand(), ceiling: MemoryCeiling(bytes: 40 * Self.mib, origin: .controlGroup)).exceedsCeiling)
    }

    @Test func `exporters share what may wait, and leave room for requests`() {
        let one = MemoryPlan(demand(exporters: [0]), ceiling: Self.large)
        let three = MemoryPlan(demand(exporters: [0, 0, 0]), ceiling: Self.large)
        #expect(one.queueBytesMax < one.limits.softBytes)
        #expect(abs(three.queueBytesMax * 3 - one.queueBytesMax) <= 3)
    }

    @Test func `the only exporter without the log is bounded by the budget alone`() {
        #expect(MemoryPlan(demand(exporters: [0], hasLog: false), ceiling: Self.large).queueBytesMax == .max)
        let two = MemoryPlan(demand(exporters: [0, 0], hasLog: false), ceiling: Self.large)
        #expect(two.queueBytesMax < two.limits.softBytes)
    }

    @Test func `the sum names every part in MiB`() {
        let plan = MemoryPlan(demand(), ceiling: Self.large)
        #expect(plan.sumText.contains("requests 96.0"))
        #expect(plan.sumText.contains("log_fingerprints 16.0"))
        #expect(plan.sumText.contains("process 64.0"))
        #expect(!MemoryPlan(demand(hasLog: false), ceiling: Self.large).sumText.contains("log_fingerprints"))
    }

    @Test func `nothing configured is still a plan`() {
        let plan = MemoryPlan(MemoryPlan.Demand(), ceiling: nil)
        #expect(plan.limits.hardBytes == 96 * Self.mib)
        #expect(!plan.exceedsCeiling)
    }
}
