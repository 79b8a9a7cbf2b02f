import Dispatch
import OTLPWire
import SelfTelemetry
import Testing
@testable import Pipeline

@Suite struct GroupByTraceProcessorTests {
    private let registry = MetricRegistry()
    private let budget = MemoryBudget(limitBytes: 1 << 30)

    private func processor(
        _ next: any Consumer<SpanBatch>, wait: Duration = .seconds(3_600), tracesMax: Int = 1_000, budget: MemoryBudget? = nil
    ) -> GroupByTraceProcessor {
        GroupByTraceProcessor(
            id: "groupbytrace", config: GroupByTraceConfig(waitDuration: wait, tracesMax: tracesMax), next: next,
            budget: budget ?? self.budget, registry: registry, logger: quietLogger)
    }

    private func metric(_ name: String) -> String? {
        registry.prometheusText().split(separator: "\n").first { $0.hasPrefix("otelcol_processor_groupbytrace_\(name){") }
            .flatMap { $0.split(separator: " ").last.map(String.init) }
    }

    @Test func aTraceLeavesAsOneAfterItsTime() throws {
        let next = SpanRecorder()
        let processor = processor(next, wait: .milliseconds(20))
        #expect(processor.consume(try traceRequest([SpanName(1, 1), SpanName(2, 1)])) == .accepted)
        #expect(processor.consume(try traceRequest([SpanName(1, 2)])) == .accepted)
        let received = next.batches(atLeast: 3)
        #expect(received == [[SpanName(1, 1), SpanName(1, 2), SpanName(2, 1)]])
    }

    @Test func theOldestTraceLeavesEarlyWhenThereAreTooMany() throws {
        let next = SpanRecorder()
        let processor = processor(next, tracesMax: 2)
        _ = processor.consume(try traceRequest([SpanName(1, 1), SpanName(2, 1)]))
        #expect(next.received.isEmpty && metric("num_traces_in_memory") == "2")
        _ = processor.consume(try traceRequest([SpanName(3, 1), SpanName(1, 2)]))
        #expect(next.received == [[SpanName(1, 1), SpanName(1, 2)]])
        #expect(metric("traces_evicted_total") == "1" && metric("num_traces_in_memory") == "2")
    }

    @Test func tracesLeaveEarlyWhenTheMemoryLimitIsReached() throws {
        let next = SpanRecorder()
        let budget = MemoryBudget(limitBytes: 1)
        let processor = processor(next, budget: budget)
        _ = processor.consume(try traceRequest((1...8).map { SpanName($0, 1) }))
        #expect(next.received == [(1...4).map { SpanName($0, 1) }])
    }

    @Test func groupingItselfCountsAgainstTheMemoryLimit() async throws {
        let processor = processor(SpanRecorder())
        _ = processor.consume(try traceRequest([SpanName(1, 1)]))
        #expect(budget.usedBytes > 0)
        await processor.shutdown(deadline: .now + patience)
        #expect(budget.usedBytes == 0)
    }

    @Test func nothingLeavesAndNewcomersAreRefusedWhileTheNextStageRefuses() throws {
        let next = SpanRecorder(refusing: full)
        let processor = processor(next, wait: .milliseconds(1), tracesMax: 2)
        #expect(processor.admission == full)
        #expect(processor.consume(try traceRequest([SpanName(1, 1), SpanName(2, 1), SpanName(3, 1)])) == .accepted)
        #expect(processor.consume(try traceRequest([SpanName(4, 1)])) == full)
        next.waitForOffers(3)
        #expect(next.received.isEmpty)
        next.refuse(nil)
        #expect(next.batches(atLeast: 3).flatMap(\.self) == [SpanName(1, 1), SpanName(2, 1), SpanName(3, 1)])
    }

    @Test func shutdownSendsOnWhatIsHeldAndRefusesNewcomers() async throws {
        let next = SpanRecorder()
        let processor = processor(next)
        _ = processor.consume(try traceRequest([SpanName(1, 1), SpanName(2, 1)]))
        await processor.shutdown(deadline: .now + patience)
        #expect(next.received == [[SpanName(1, 1), SpanName(2, 1)]])
        #expect(metric("spans_released_total") == "2" && metric("traces_released_total") == "2")
        let stopping = Outcome.retryable(.shuttingDown, after: nil)
        #expect(processor.admission == stopping)
        #expect(processor.consume(try traceRequest([SpanName(3, 1)])) == stopping)
    }

    @Test func shutdownWaitsForRoomInTheNextStage() async throws {
        let next = SpanRecorder(refusing: full)
        let processor = processor(next)
        _ = processor.consume(try traceRequest([SpanName(1, 1)]))
        async let done: Void = processor.shutdown(deadline: .now + patience)
        next.waitForOffers(2)
        next.refuse(nil)
        await done
        #expect(next.received == [[SpanName(1, 1)]])
    }

    @Test func shutdownEndsAtItsDeadlineWhenTheNextStageTakesNothing() async throws {
        let processor = processor(SpanRecorder(refusing: full))
        _ = processor.consume(try traceRequest([SpanName(1, 1)]))
        await processor.shutdown(deadline: .now + .milliseconds(30))
        #expect(budget.usedBytes == 0)
    }

    @Test func whatNobodyTakesIsReturnedToTheSuccessor() async throws {
        let processor = processor(SpanRecorder(refusing: full))
        _ = processor.consume(try traceRequest([SpanName(1, 1), SpanName(2, 1), SpanName(1, 2)]))
        let left = await processor.retire(deadline: .now + .milliseconds(30))
        #expect(left.flatMap(names) == [SpanName(1, 1), SpanName(1, 2), SpanName(2, 1)])
    }

    /// Threads bring spans of the same traces, the timer and evictions take them out, the next stage refuses now and then.
    @Test func manyThreadsLoseAndDoubleNothing() async throws {
        let next = SpanRecorder()
        let processor = processor(next, wait: .milliseconds(2), tracesMax: 20)
        DispatchQueue.concurrentPerform(iterations: 6) { thread in
            for span in 0..<200 {
                if span % 50 == 25 { next.refuse(span % 100 == 25 ? full : nil) }
                let spans = (0..<5).map { SpanName(UInt8(1 + (span + $0 * 13 + thread) % 40), UInt8(span)) }
                guard let request = try? traceRequest(spans + [SpanName(UInt8(100 + thread), UInt8(span))]) else { continue }
                while processor.consume(request) != .accepted { next.refuse(nil) }
            }
        }
        next.refuse(nil)
        await processor.shutdown(deadline: .now + patience)
        let received = next.received.flatMap(\.self)
        #expect(received.count == 6 * 200 * 6)
        for thread in 0..<6 {
            let own = received.filter { $0.trace == UInt8(100 + thread) }
            #expect(Set(own).count == 200 && own.count == 200)
        }
        #expect(budget.usedBytes == 0)
    }
}
