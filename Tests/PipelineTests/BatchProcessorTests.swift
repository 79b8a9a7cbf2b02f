import Dispatch
import SelfTelemetry
import Testing
@testable import Pipeline

@Suite struct BatchProcessorTests {
    private func processor(
        _ next: any Consumer<Numbers>, size: Int, max: Int = 0, timeout: Duration = .seconds(3600), registry: MetricRegistry? = nil
    ) -> BatchProcessor<Numbers> {
        BatchProcessor(
            id: "batch", settings: BatchSettings(sizeItems: size, maxItems: max, timeout: timeout), next: next, registry: registry)
    }

    @Test func smallBatchesLeaveAsOneInOrder() {
        let next = RecordingConsumer()
        let batch = processor(next, size: 6)
        for start in stride(from: 0, to: 6, by: 2) { #expect(batch.consume(Numbers(start..<start + 2)) == .accepted) }
        #expect(next.received == [Numbers(0..<6)])
    }

    @Test func whatIsNotFullLeavesByTheTimer() {
        let next = RecordingConsumer()
        let registry = MetricRegistry()
        let batch = processor(next, size: 100, timeout: .milliseconds(5), registry: registry)
        _ = batch.consume(Numbers(0..<3))
        #expect(next.items(atLeast: 3) == [0, 1, 2])
        let text = registry.prometheusText()
        #expect(text.contains("otelcol_processor_batch_timeout_trigger_send_total{processor=\"batch\"} 1"))
        #expect(text.contains("otelcol_processor_batch_batch_size_trigger_send_total{processor=\"batch\"} 0"))
        #expect(text.contains("otelcol_processor_batch_batch_send_size_sum{processor=\"batch\"} 3"))
    }

    @Test func aLargeRequestIsSplitAtTheMaximum() {
        let next = RecordingConsumer()
        let registry = MetricRegistry()
        let batch = processor(next, size: 4, max: 4, registry: registry)
        _ = batch.consume(Numbers(0..<12))
        #expect(next.received == [Numbers(0..<4), Numbers(4..<8), Numbers(8..<12)])
        #expect(registry.prometheusText().contains("otelcol_processor_batch_batch_size_trigger_send_total{processor=\"batch\"} 3"))
    }

    @Test func whatTheNextStageRefusesIsHeldOfferedAgainInOrderAndNeverLost() {
        let next = RecordingConsumer(refusing: full)
        let batch = processor(next, size: 2, max: 2)
        #expect(batch.consume(Numbers(0..<6)) == .accepted)
        #expect(batch.admission == full)
        next.waitForOffers(2)
        #expect(next.received.isEmpty)
        next.refuse(nil)
        #expect(next.items(atLeast: 6) == Array(0..<6))
    }

    @Test func aBatchDoesNotOvertakeOneThatIsHeld() {
        let next = RecordingConsumer(refusing: full)
        let batch = processor(next, size: 1)
        _ = batch.consume(Numbers(0..<1))
        next.refuse(nil)
        _ = batch.consume(Numbers(1..<2))
        #expect(next.items(atLeast: 2) == [0, 1])
    }

    @Test func callersThatWereAdmittedAreTakenUpToTheReserveAndThenRefused() {
        let next = RecordingConsumer(refusing: full)
        let batch = processor(next, size: 1)
        for number in 0..<PipelineLimits.admissionReserve { #expect(batch.consume(Numbers([number])) == .accepted) }
        #expect(batch.consume(Numbers([-1])) == full)
        next.refuse(nil)
        #expect(next.items(atLeast: PipelineLimits.admissionReserve) == Array(0..<PipelineLimits.admissionReserve))
    }

    @Test func admissionIsTheNextStagesWhenNothingIsHeld() {
        let next = RecordingConsumer(refusing: .retryable(.memoryLimit, after: .seconds(1)))
        #expect(processor(next, size: 1).admission == .retryable(.memoryLimit, after: .seconds(1)))
    }

    @Test func manyThreadsLoseAndDoubleNothing() async {
        let next = RecordingConsumer()
        let batch = processor(next, size: 16, max: 16, timeout: .milliseconds(1))
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            for index in 0..<500 { #expect(batch.consume(Numbers([thread * 500 + index])) == .accepted) }
        }
        await batch.shutdown(deadline: .now + patience)
        #expect(next.received.flatMap(\.values).sorted() == Array(0..<4000))
        #expect(next.received.allSatisfy { $0.itemCount <= 16 })
    }

    @Test func shutdownFlushesAndRefusesNewcomers() async {
        let next = RecordingConsumer()
        let batch = processor(next, size: 100)
        _ = batch.consume(Numbers(0..<5))
        await batch.shutdown(deadline: .now + patience)
        #expect(next.received == [Numbers(0..<5)])
        #expect(batch.consume(Numbers(5..<6)) == .retryable(.shuttingDown, after: nil))
        #expect(batch.admission == .retryable(.shuttingDown, after: nil))
    }

    @Test func shutdownWaitsForRoomInTheNextStage() async {
        let next = RecordingConsumer(refusing: full)
        let batch = processor(next, size: 1)
        _ = batch.consume(Numbers(0..<2))
        async let done: Void = batch.shutdown(deadline: .now + patience)
        next.waitForOffers(2)
        next.refuse(nil)
        await done
        #expect(next.received.flatMap(\.values) == [0, 1])
    }

    @Test func shutdownEndsAtItsDeadlineWhenTheNextStageTakesNothing() async {
        let next = RecordingConsumer(refusing: full)
        let batch = processor(next, size: 1)
        _ = batch.consume(Numbers(0..<2))
        await batch.shutdown(deadline: .now + .milliseconds(30))
        next.refuse(nil)
        #expect(next.received.isEmpty)
    }

    /// The timer may have taken the batch out when the shutdown begins; the next stage is closed right after it.
    @Test func shutdownWaitsForABatchThatATimerIsHandingOn() async {
        let next = GatedConsumer()
        let batch = processor(next, size: 100, timeout: .microseconds(50))
        _ = batch.consume(Numbers([1]))
        next.waitUntilEntered()
        let deadline = ContinuousClock.now + .milliseconds(40)
        await batch.shutdown(deadline: deadline)
        #expect(ContinuousClock.now >= deadline)
        next.open()
        await batch.shutdown(deadline: .now + patience)
        #expect(next.itemCount == 1)
    }
}

/// Takes a batch only when the gate is opened.
private final class GatedConsumer: Consumer, @unchecked Sendable {
    private let lock = ConditionLock()
    private var isOpen = false
    private var hasEntered = false
    private var items = 0

    var admission: Outcome { .accepted }
    var itemCount: Int { lock.withLock { items } }

    func consume(_ batch: Numbers) -> Outcome {
        let deadline = ContinuousClock.now + patience
        return lock.withLock {
            hasEntered = true
            lock.broadcast()
            while !isOpen, lock.wait(until: deadline) {}
            items += batch.itemCount
            return .accepted
        }
    }

    func waitUntilEntered() {
        let deadline = ContinuousClock.now + patience
        lock.withLock { while !hasEntered, lock.wait(until: deadline) {} }
    }

    func open() {
        lock.withLock {
            isOpen = true
            lock.broadcast()
        }
    }
}
