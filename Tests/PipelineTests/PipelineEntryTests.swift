import Dispatch
import Glibc
import OTLPWire
import SelfTelemetry
import Synchronization
import Testing
@testable import Pipeline

/// An entry with a log of its own, and a sink for a pipeline.
private final class Bench: Sendable {
    let log: WriteAheadLog
    let entry: PipelineEntry
    let budget = MemoryBudget(limitBytes: 64 << 20)
    let registry = MetricRegistry()

    init(
        _ directory: TemporaryDirectory, _ sink: any Consumer<SpanBatch>,
        receivers: PipelineEntry.Receivers = PipelineEntry.Receivers(feeding: ["otlp"], known: ["otlp"]), bytesMax: Int = .max
    ) {
        log = .make(settings(directory.path), registry: registry)
        log.openAndWait()
        entry = PipelineEntry(
            id: "traces", next: sink, receivers: receivers,
            source: PipelineEntry.Source(log: log, reader: 0, budget: budget, limits: DecodeLimits(), bytesMax: bytesMax),
            registry: registry, logger: quietLogger)
    }

    /// Appends a request and delivers it, as a receiver does.
    func take(_ ids: some Sequence<UInt64>, receiver: String = "otlp") throws {
        let payload = requestBytes(ids)
        guard case .durable(let sequence) = log.append(payload, project: receiver) else {
            Issue.record("not durable")
            return
        }
        entry.deliver(try decode(payload), sequence: sequence)
    }

    func decode(_ payload: [UInt8]) throws -> TraceBatch {
        try payload.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 7, account: budget) }
    }

    /// Waits until the feeder has gone.
    func waitUntilDirect() {
        let deadline = ContinuousClock.now + patience
        while entry.hasBacklog, ContinuousClock.now < deadline { sched_yield() }
        #expect(!entry.hasBacklog)
    }

    func end() async {
        await entry.stop(deadline: .now + patience)
        await log.close()
    }

    func metric(_ name: String) -> String? {
        registry.prometheusText().split(separator: "\n").first { $0.hasPrefix(name) }.map(String.init)
    }
}

@Suite struct PipelineEntryTests {
    private let directory = TemporaryDirectory()

    /// What the log has left after all: read by a fresh run of it.
    private func left() async -> [[UInt8]] {
        let log = WriteAheadLog.make(settings(directory.path))
        log.openAndWait()
        let requests = log.readAll()
        await log.close()
        return requests
    }

    @Test func aPipelineThatTakesBatchesGetsThemAtOnceAndItsRecordIsReleasedWithTheLastSlice() async throws {
        let sink = SpanSink(keeps: true)
        let bench = Bench(directory, sink)
        try bench.take([1, 2, 3])
        #expect(sink.received == [1, 2, 3])
        #expect(sink.isReplayed == [false])
        #expect(bench.metric("collector_wal_unreleased_requests")?.hasSuffix(" 1") == true)
        try firstSlice(of: sink) { #expect(bench.metric("collector_wal_unreleased_requests")?.hasSuffix(" 1") == true) }
        #expect(bench.metric("collector_wal_unreleased_requests")?.hasSuffix(" 0") == true)
        await bench.end()
        #expect(await left().isEmpty)
    }

    /// Lets all go that the sink keeps but one span, calls `body`, and lets that go.
    private func firstSlice(of sink: SpanSink, _ body: () -> Void) throws {
        var batches = sink.empty()
        let first = try #require(batches.isEmpty ? nil : batches[0].removeFirst(1))
        batches = []
        withExtendedLifetime(first) { body() }
    }

    @Test func whatAFullPipelineCannotTakeCostsNoMemoryAndComesInTheOrderOfTheLog() async throws {
        let sink = SpanSink(refusing: true)
        let bench = Bench(directory, sink)
        for id in UInt64(1)...50 { try bench.take([id]) }
        #expect(bench.entry.hasBacklog)
        #expect(bench.budget.usedBytes == 0)
        #expect(sink.received == [])
        sink.refuse(false)
        #expect(sink.spans(atLeast: 50) == Array(1...50))
        bench.waitUntilDirect()
        try bench.take([51])
        #expect(sink.received == Array(1...51))
        #expect(sink.isReplayed.allSatisfy { !$0 })
        await bench.end()
        #expect(await left().isEmpty)
    }

    @Test func aPipelineHoldsNoMoreThanItsShareOfMemoryAndGetsTheRestAsItLetsGo() async throws {
        let sink = SpanSink(keeps: true)
        let share = 20_000
        let bench = Bench(directory, sink, bytesMax: share)
        for id in UInt64(1)...200 { try bench.take([id]) }
        let first = sink.received
        #expect(first.count < 200 && bench.entry.hasBacklog)
        var largest = bench.budget.usedBytes
        let deadline = ContinuousClock.now + patience
        while sink.received.count < 200 || bench.entry.hasBacklog, ContinuousClock.now < deadline {
            largest = max(largest, bench.budget.usedBytes)
            _ = sink.empty()
            sched_yield()
        }
        #expect(sink.received == Array(1...200))
        // One request of a few hundred bytes more, handed on by the thread that found room.
        #expect(largest < share + 4096)
        _ = sink.empty()
        await bench.end()
        #expect(await left().isEmpty)
    }

    @Test func aPipelineThatHasNothingGetsSomethingHoweverFullMemoryIs() async throws {
        let sink = SpanSink(refusing: true)
        let bench = Bench(directory, sink, bytesMax: 1)
        for id in UInt64(1)...5 { try bench.take([id]) }
        bench.budget.charge(64 << 20)
        sink.refuse(false)
        #expect(sink.spans(atLeast: 5) == Array(1...5))
        bench.budget.release(64 << 20)
        await bench.end()
    }

    @Test func releasesAreWrittenDownAlsoWhenNoRequestFollows() async throws {
        let sink = SpanSink(keeps: true)
        let bench = Bench(directory, sink)
        try bench.take([1])
        // The log's thread has nothing to do now, and no timer.
        _ = sink.empty()
        let deadline = ContinuousClock.now + patience
        func released() -> Int {
            LogInspection.read(directory: directory.path, keepsRecords: false)?.segments.first?.readers.first?.releasedRequests ?? 0
        }
        while released() == 0, ContinuousClock.now < deadline { sched_yield() }
        #expect(released() == 1)
        await bench.end()
    }

    @Test func aPipelineThatSaysYesAndRefusesGetsTheBatchLater() async throws {
        let sink = SpanSink()
        sink.refuseAnyway(true)
        let bench = Bench(directory, sink)
        for id in UInt64(1)...20 { try bench.take([id]) }
        #expect(bench.entry.hasBacklog)
        sink.refuseAnyway(false)
        #expect(sink.spans(atLeast: 20) == Array(1...20))
        await bench.end()
        #expect(await left().isEmpty)
    }

    @Test func theNextStartReplaysWhatWasNotReleased() async throws {
        let payloads = (UInt64(1)...10).map { requestBytes([$0]) }
        do {
            let sink = SpanSink(keeps: true)
            let bench = Bench(directory, sink)
            for id in UInt64(1)...10 { try bench.take([id]) }
            for (index, batch) in sink.empty().enumerated() where index % 2 == 0 { #expect(batch.keepInLog() == 1) }
            await bench.end()
        }
        #expect(await left() == stride(from: 0, to: 10, by: 2).map { payloads[$0] })
        let sink = SpanSink()
        let bench = Bench(directory, sink)
        bench.entry.start()
        #expect(sink.spans(atLeast: 5) == [1, 3, 5, 7, 9])
        #expect(sink.isReplayed == Array(repeating: true, count: 5))
        bench.waitUntilDirect()
        try bench.take([11])
        #expect(sink.isReplayed.last == false)
        await bench.end()
        #expect(await left().isEmpty)
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func eachRequestReachesACapriciousPipelineOnceWhoeverDeliversIt(seed: UInt64) async throws {
        let sink = SpanSink()
        var random = SplitMix64(seed: seed)
        sink.follow { random.next() % 5 == 0 }
        let bench = Bench(directory, sink)
        let threads = 4
        let requestsEach = 60
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            for number in 0..<requestsEach { try? bench.take([UInt64(thread * requestsEach + number + 1)]) }
        }
        let total = threads * requestsEach
        let received = sink.spans(atLeast: total)
        bench.waitUntilDirect()
        #expect(received.sorted() == (1...UInt64(total)).map { $0 }, "seed \(seed)")
        #expect(sink.received.count == total, "seed \(seed)")
        await bench.end()
        #expect(await left().isEmpty, "seed \(seed)")
    }

    @Test func aStopWhileThePipelineIsFullLeavesTheRestInTheLog() async throws {
        let sink = SpanSink(refusing: true)
        let bench = Bench(directory, sink)
        for id in UInt64(1)...10 { try bench.take([id]) }
        await bench.end()
        #expect(sink.received == [])
        #expect(await left() == (UInt64(1)...10).map { requestBytes([$0]) })
    }

    @Test func aStopWhileThePipelineTakesBatchesFeedsItToTheEnd() async throws {
        let sink = SpanSink(refusing: true)
        let bench = Bench(directory, sink)
        for id in UInt64(1)...100 { try bench.take([id]) }
        sink.refuse(false)
        await bench.end()
        #expect(sink.received == Array(1...100))
        #expect(await left().isEmpty)
    }

    @Test func whatArrivesAfterTheStopWaitsForTheNextStart() async throws {
        let sink = SpanSink()
        let bench = Bench(directory, sink)
        await bench.entry.stop(deadline: .now + patience)
        try bench.take([1])
        #expect(sink.received == [])
        await bench.log.close()
        #expect(await left() == [requestBytes([1])])
    }

    @Test func aRecordThatCannotBeDecodedIsCountedAndDoesNotHoldUpTheRest() async throws {
        do {
            let log = WriteAheadLog.make(settings(directory.path))
            log.openAndWait()
            for payload in [requestBytes([1]), [0xFF, 0xFF, 0xFF], requestBytes([2])] { _ = log.append(payload, project: "otlp") }
            await log.close()
        }
        let sink = SpanSink()
        let bench = Bench(directory, sink)
        bench.entry.start()
        #expect(sink.spans(atLeast: 2) == [1, 2])
        bench.waitUntilDirect()
        #expect(bench.metric("collector_pipeline_unreadable_requests_total")?.hasSuffix(" 1") == true)
        await bench.end()
    }

    @Test func aReplayTakesWhatItsReceiversSentAndWhatNobodyElseWants() async throws {
        do {
            let log = WriteAheadLog.make(settings(directory.path))
            log.openAndWait()
            for (id, receiver) in [(UInt64(1), "otlp"), (2, "otlp/other"), (3, "otlp/gone"), (4, "")] {
                _ = log.append(requestBytes([id]), project: receiver)
            }
            await log.close()
        }
        let sink = SpanSink()
        let bench = Bench(directory, sink, receivers: PipelineEntry.Receivers(feeding: ["otlp"], known: ["otlp", "otlp/other"]))
        bench.entry.start()
        #expect(sink.spans(atLeast: 3) == [1, 3, 4])
        bench.waitUntilDirect()
        await bench.end()
        #expect(await left().isEmpty)
    }

    @Test func aBacklogGoesOnIntoThePipelineThatReplacesItsOwn() async throws {
        let former = SpanSink(refusing: true)
        let successor = SpanSink()
        let way = Way(to: former)
        let bench = Bench(directory, way)
        for id in UInt64(1)...10 { try bench.take([id]) }
        way.lead(to: successor)
        #expect(successor.spans(atLeast: 10) == Array(1...10))
        await bench.end()
        #expect(former.received == [])
        #expect(await left().isEmpty)
    }

    @Test func withoutTheLogItAnswersAsThePipelineDoes() throws {
        let sink = SpanSink(refusing: true)
        let entry = PipelineEntry(
            id: "traces", next: sink, receivers: PipelineEntry.Receivers(feeding: [], known: []), source: nil,
            registry: MetricRegistry(), logger: quietLogger)
        #expect(entry.admission == full)
        sink.refuse(false)
        #expect(entry.admission == .accepted)
        let batch = try requestBytes([1]).withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 7) }
        #expect(entry.consume(SpanBatch(batch)) == .accepted)
        #expect(sink.received == [1])
    }
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators".
private struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// Leads to one pipeline, then to another, as the link after an entry does at a reload.
private final class Way: Consumer {
    private let end: Mutex<SpanSink>

    init(to end: SpanSink) { self.end = Mutex(end) }

    func lead(to end: SpanSink) { self.end.withLock { $0 = end } }

    var admission: Outcome { end.withLock { $0 }.admission }

    func consume(_ batch: SpanBatch) -> Outcome { end.withLock { $0 }.consume(batch) }
}
