import OTLPWire
import Pipeline
import Testing

@testable import Sampling

/// Sizes at which anything quadratic would take hours, and anything kept for each span would be seen.
@Suite struct TailLoadTests {
    private static let second: Int64 = 1_000_000_000
    /// A debug build on a busy machine takes a tenth of it.
    private static let patience = Duration.seconds(60)

    private func shards(_ settings: String = "", policies: String = TailPolicy.errors) throws -> TailShards {
        TailShards(try tailConfig(policies, settings), shards: 2, bytesMax: .max, seed: 4)
    }

    @Test func aTraceOfAMillionSpansIsOneRunAndLeavesAsOne() throws {
        let batch = try ManySpans.batch(1_000_000, trace: { _ in 1 }, span: { UInt64($0 + 1) })
        let shards = try shards("decide_early: false", policies: TailPolicy.many)
        let before = shards.bookkeepingBytes
        let start = ContinuousClock.now
        #expect(shards.add(SpanBatch(batch), now: 0).isEmpty)
        #expect(shards.spanCount == 1_000_000 && shards.traceCount == 1 && shards.bookkeepingBytes - before < 10_000)
        let output = shards.decideDue(now: 40 * Self.second)
        #expect(output.kept.map(\.range) == [0..<1_000_000] && output.decided.map(\.spanCount) == [1_000_000])
        #expect(ContinuousClock.now - start < Self.patience)
    }

    @Test func aMillionSpansOfOneTraceOneByOneCostTheirRuns() throws {
        let batch = try ManySpans.batch(1_000_000, trace: { UInt64($0 % 2 + 1) }, span: { _ in 7 })
        let shards = try shards("decide_early: false", policies: TailPolicy.many)
        let start = ContinuousClock.now
        #expect(shards.add(SpanBatch(batch), now: 0).isEmpty)
        #expect(shards.traceCount == 2)
        #expect(shards.bookkeepingBytes < 1_000_000 * 64)
        let output = shards.decideDue(now: 40 * Self.second)
        #expect(output.kept.count == 1_000_000)
        #expect(ContinuousClock.now - start < Self.patience)
    }

    @Test func aHundredThousandTracesInOneRequestAreDecidedAboutAndTheMemoryReturns() throws {
        let batch = try ManySpans.batch(100_000, trace: { UInt64($0 + 1) }, span: { UInt64($0 + 1) })
        let shards = try shards("num_traces: 1000000")
        let before = shards.bookkeepingBytes
        let start = ContinuousClock.now
        _ = shards.add(SpanBatch(batch), now: 0)
        #expect(shards.traceCount == 100_000)
        let output = shards.decideDue(now: 40 * Self.second)
        #expect(output.decided.count == 100_000 && output.freed.count <= 2 && shards.heldBytes == 0)
        #expect(ContinuousClock.now - start < Self.patience)
        #expect(shards.bookkeepingBytes <= before + 2 * 2 * DueQueue.keptEntries * MemoryLayout<DueQueue.Entry>.stride)
    }

    @Test func tenThousandRequestsOfASpanEachMayBeOneTrace() throws {
        let shards = try shards("decide_early: false", policies: TailPolicy.many)
        let start = ContinuousClock.now
        for index in 0..<10_000 as Range<UInt64> {
            _ = shards.add(SpanBatch(try ManySpans.batch(1, trace: { _ in 5 }, span: { _ in index + 1 })), now: 0)
        }
        #expect(shards.spanCount == 10_000)
        let output = shards.decideDue(now: 40 * Self.second)
        #expect(output.kept.map { $0.batch[0].spanID.word } == Array(1...10_000))
        #expect(ContinuousClock.now - start < Self.patience)
    }

    /// A queue of deadlines that outlast their traces must not grow with the traffic.
    @Test func tracesThatAreDecidedAboutEarlyLeaveNothingBehind() throws {
        let shards = try shards("decision_wait: 3600s\ndecision_cache: {sampled_cache_size: 10}", policies: TailPolicy.always)
        var largest = 0
        for step in 0..<30 {
            let batch = try ManySpans.batch(10_000, trace: { UInt64(step * 10_000 + $0 + 1) }, span: { _ in 1 })
            #expect(shards.add(SpanBatch(batch), now: Int64(step)).decided.count == 10_000)
            largest = max(largest, shards.bookkeepingBytes)
        }
        #expect(largest < 1_000_000)
    }

    @Test func whatWasChargedForBookkeepingIsGivenBackAtTheEnd() throws {
        let account = TestAccount()
        var shards: TailShards? = TailShards(try tailConfig(TailPolicy.errors), shards: 2, bytesMax: .max, seed: 4, account: account)
        _ = shards?.add(SpanBatch(try ManySpans.batch(20_000, trace: { UInt64($0 + 1) }, span: { _ in 1 })), now: 0)
        #expect(account.count > 20_000 * 16)
        _ = shards?.takeAll()
        #expect(account.count < 1 << 20)
        shards = nil
        #expect(account.count == 0)
    }
}
