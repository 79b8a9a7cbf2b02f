import SelfTelemetry
import Testing
@testable import Pipeline

@Suite struct QueuedExporterTests {
    private let registry = MetricRegistry()
    private static let down = ExportProblem(kind: "connection", "the destination is down")
    private static let failing = WriteOutcome.retryable(down, after: nil)

    private func exporter(
        _ destination: ScriptedDestination, workers: Int = 1, queueSize: Int = 10, queueBytesMax: Int = .max,
        circuitBreaker: CircuitBreakerConfig = .never, retry: (inout RetryConfig) -> Void = { _ in }
    ) -> QueuedExporter<Numbers> {
        var queue = ExportQueueConfig(numConsumers: workers)
        queue.queueSize = queueSize
        var retryConfig = RetryConfig()
        retryConfig.initialInterval = .milliseconds(1)
        retryConfig.maxInterval = .milliseconds(2)
        retry(&retryConfig)
        return QueuedExporter(
            id: "test", itemName: "spans", queue: queue, queueBytesMax: queueBytesMax, retry: retryConfig,
            circuitBreaker: circuitBreaker, registry: registry, logger: quietLogger
        ) { _ in ScriptedWriter(destination) }
    }

    private func metric(_ name: String) -> String? {
        let line = registry.prometheusText().split(separator: "\n").first { $0.hasPrefix("\(name){exporter=\"test\"} ") }
        return line?.split(separator: " ").last.map(String.init)
    }

    @Test func whatIsConsumedIsWrittenAndShutdownDrainsTheQueue() async throws {
        let destination = ScriptedDestination()
        let exporter = exporter(destination, workers: 3, queueSize: 100)
        for number in 0..<50 { #expect(exporter.consume(Numbers([number])) == .accepted) }
        try await exporter.start()
        await exporter.shutdown(deadline: .now + patience)
        #expect(destination.items.sorted() == Array(0..<50))
        #expect(destination.closedWriters == 3)
        #expect(metric("otelcol_exporter_sent_spans_total") == "50")
        #expect(metric("otelcol_exporter_in_flight_requests") == "0")
        #expect(metric("otelcol_exporter_queue_size") == "0")
        #expect(metric("otelcol_exporter_queue_capacity") == "100")
        #expect(metric("collector_export_duration_seconds_count") == "50")
    }

    @Test func aFailedBatchIsTriedUntilItIsWrittenOnceAndHealthTellsWhy() async throws {
        let destination = ScriptedDestination([Self.failing, Self.failing, Self.failing, .written])
        let exporter = exporter(destination)
        try await exporter.start()
        #expect(exporter.health == .ok)
        _ = exporter.consume(Numbers(0..<4))
        await exporter.shutdown(deadline: .now + patience)
        #expect(destination.attemptCount == 4)
        #expect(destination.items == Array(0..<4))
        #expect(exporter.health == .ok)
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "0")
    }

    @Test func healthIsDegradedWhileTheDestinationFails() async throws {
        let destination = ScriptedDestination([Self.failing])
        let exporter = exporter(destination)
        try await exporter.start()
        _ = exporter.consume(Numbers([1]))
        destination.waitForAttempts(2)
        #expect(exporter.health == .degraded("the destination is down"))
        await exporter.shutdown(deadline: .now)
    }

    @Test func aBatchIsGivenUpAfterTheMaximumTimeAndCounted() async throws {
        let destination = ScriptedDestination([Self.failing])
        let exporter = exporter(destination) { $0.maxElapsedTime = .milliseconds(5) }
        try await exporter.start()
        _ = exporter.consume(Numbers(0..<7))
        await exporter.shutdown(deadline: .now + patience)
        #expect(destination.attemptCount >= 1)
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "7")
        #expect(metric("otelcol_exporter_sent_spans_total") == "0")
    }

    @Test func aPermanentFailureIsNotTriedAgainAndOnlyItsLostItemsCount() async throws {
        let data = ExportProblem(kind: "data", "rows refused")
        let destination = ScriptedDestination([.permanent(data, lostItems: 2), .permanent(data, lostItems: 5), .written])
        let exporter = exporter(destination)
        _ = exporter.consume(Numbers(0..<10))
        try await exporter.start()
        destination.waitForAttempts(1)
        _ = exporter.consume(Numbers(0..<5))
        destination.waitForAttempts(2)
        _ = exporter.consume(Numbers(0..<1))
        await exporter.shutdown(deadline: .now + patience)
        #expect(destination.attemptCount == 3)
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "7")
        #expect(metric("otelcol_exporter_sent_spans_total") == "9")
    }

    @Test func aFullQueueRefusesAtItsSizeAndTakesThoseAdmittedBefore() {
        let exporter = exporter(ScriptedDestination(), queueSize: 2)
        for number in 0..<2 {
            #expect(exporter.admission == .accepted)
            #expect(exporter.consume(Numbers([number])) == .accepted)
        }
        #expect(exporter.admission == full)
        for number in 0..<PipelineLimits.admissionReserve { #expect(exporter.consume(Numbers([number])) == .accepted) }
        #expect(exporter.consume(Numbers([0, 1, 2])) == full)
        #expect(metric("otelcol_exporter_enqueue_failed_spans_total") == "3")
    }

    @Test func shutdownRefusesNewcomers() async throws {
        let exporter = exporter(ScriptedDestination())
        try await exporter.start()
        await exporter.shutdown(deadline: .now + patience)
        #expect(exporter.admission == .retryable(.shuttingDown, after: nil))
        #expect(exporter.consume(Numbers([1])) == .retryable(.shuttingDown, after: nil))
    }

    @Test func theDeadlineBreaksOffABlockedWriterAndWhatIsLeftIsCountedWithoutFurtherAttempts() async throws {
        let destination = ScriptedDestination([Self.failing], blocked: true)
        let exporter = exporter(destination)
        try await exporter.start()
        for number in 0..<5 { _ = exporter.consume(Numbers([number])) }
        destination.waitForAttempts(1)
        await exporter.shutdown(deadline: .now + .milliseconds(10))
        #expect(destination.attemptCount == 1)
        #expect(destination.closedWriters == 1)
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "5")
    }

    @Test func theDeadlineEndsAWaitBetweenAttempts() async throws {
        let destination = ScriptedDestination([.retryable(Self.down, after: .seconds(3600))])
        let exporter = exporter(destination) { $0.maxElapsedTime = .zero }
        try await exporter.start()
        _ = exporter.consume(Numbers([1]))
        destination.waitForAttempts(1)
        await exporter.shutdown(deadline: .now + .milliseconds(10))
        #expect(destination.attemptCount == 1)
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "1")
    }

    @Test func whatWasQueuedBeforeAStartThatNeverCameIsCounted() async {
        let exporter = exporter(ScriptedDestination())
        _ = exporter.consume(Numbers(0..<3))
        await exporter.shutdown(deadline: .now)
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "3")
    }

    @Test func theQueueAdmitsNothingWhileItHoldsItsShareOfBytesAndOneBatchOfAnySizeWhenItIsEmpty() async throws {
        let destination = ScriptedDestination([.written], blocked: true)
        let exporter = exporter(destination, queueSize: 100, queueBytesMax: 100)
        try await exporter.start()
        #expect(exporter.admission == .accepted)
        #expect(exporter.consume(Numbers(0..<1_000)) == .accepted)
        destination.waitForAttempts(1)
        // Being written, and still in memory.
        #expect(exporter.admission == full)
        #expect(metric("collector_exporter_queue_bytes") == "8000")
        #expect(metric("collector_exporter_queue_bytes_limit") == "100")
        destination.unblock()
        await exporter.shutdown(deadline: .now + patience)
        #expect(metric("collector_exporter_queue_bytes") == "0")
    }

    @Test func failuresAreCountedByKind() async throws {
        let disk = ExportProblem(kind: "disk", "full")
        let destination = ScriptedDestination([
            Self.failing, .retryable(disk, after: nil), .retryable(disk, after: nil), .permanent(disk, lostItems: 1, savedItems: 2),
            .written,
        ])
        let exporter = exporter(destination)
        try await exporter.start()
        _ = exporter.consume(Numbers(0..<4))
        await exporter.shutdown(deadline: .now + patience)
        let text = registry.prometheusText()
        #expect(text.contains(#"collector_exporter_failures_total{exporter="test",kind="connection"} 1"#))
        #expect(text.contains(#"collector_exporter_failures_total{exporter="test",kind="disk"} 3"#))
        #expect(metric("collector_exporter_dead_lettered_items_total") == "2")
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "1")
        #expect(metric("otelcol_exporter_sent_spans_total") == "1")
    }

    @Test func anOpenCircuitStopsAllWorkersAndOneAttemptAtATimeLooksWhetherTheDestinationIsBack() async throws {
        var breaker = CircuitBreakerConfig()
        breaker.failureThreshold = 3
        breaker.openFor = .milliseconds(5)
        let destination = ScriptedDestination(Array(repeating: Self.failing, count: 8) + [.written])
        let exporter = exporter(destination, workers: 4, circuitBreaker: breaker) {
            $0.initialInterval = .seconds(3_600)
            $0.maxInterval = .seconds(3_600)
            $0.maxElapsedTime = .zero
        }
        for number in 0..<4 { _ = exporter.consume(Numbers([number])) }
        try await exporter.start()
        // Without the breaker every batch would wait for an hour now; with it, all go through soon after the first one did.
        await exporter.shutdown(deadline: .now + patience)
        #expect(destination.items.sorted() == [0, 1, 2, 3])
        #expect(metric("collector_exporter_circuit_state") == "0")
        let opened = try #require(Int(metric("collector_exporter_circuit_opened_total") ?? ""))
        #expect(opened >= 4, "once at the threshold, and again after each failed look")
        #expect(exporter.health == .ok)
    }

    @Test func healthSaysThatTheCircuitIsOpenAndShutdownDoesNotWaitForIt() async throws {
        var breaker = CircuitBreakerConfig()
        breaker.failureThreshold = 1
        breaker.openFor = .seconds(3_600)
        let destination = ScriptedDestination([Self.failing])
        let exporter = exporter(destination, workers: 2, circuitBreaker: breaker)
        for number in 0..<5 { _ = exporter.consume(Numbers([number])) }
        try await exporter.start()
        destination.waitForAttempts(1)
        let deadline = ContinuousClock.now + patience
        while metric("collector_exporter_circuit_state") != "2", ContinuousClock.now < deadline { await Task.yield() }
        guard case .degraded(let text) = exporter.health else {
            Issue.record("healthy")
            return
        }
        #expect(text.hasPrefix("the destination is down; attempts are paused"))
        await exporter.shutdown(deadline: .now + .milliseconds(10))
        #expect(destination.attemptCount <= 2)
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "5")
    }

    @Test func whatARetiringStageCouldNotDeliverIsHandedOverInOrder() async throws {
        let destination = ScriptedDestination([Self.failing], blocked: true)
        let exporter = exporter(destination)
        for number in 0..<5 { _ = exporter.consume(Numbers([number])) }
        try await exporter.start()
        destination.waitForAttempts(1)
        let left = await exporter.retire(deadline: .now + .milliseconds(10))
        #expect(left.flatMap(\.values) == [0, 1, 2, 3, 4])
        #expect(metric("otelcol_exporter_send_failed_spans_total") == "0")
        #expect(metric("collector_exporter_queue_bytes") == "0")
    }

    @Test func oneStuckExporterDoesNotHoldUpAnother() async throws {
        let stuck = ScriptedDestination([Self.failing], blocked: true)
        let healthy = ScriptedDestination()
        let first = exporter(stuck, workers: 2, queueSize: 2)
        let second = exporter(healthy, workers: 2, queueSize: 200)
        try await first.start()
        try await second.start()
        for number in 0..<100 {
            if first.admission == .accepted { _ = first.consume(Numbers([number])) }
            #expect(second.consume(Numbers([number])) == .accepted)
        }
        #expect(first.admission == full)
        await second.shutdown(deadline: .now + patience)
        #expect(healthy.items.sorted() == Array(0..<100))
        await first.shutdown(deadline: .now)
    }
}
