import Glibc
import OTLPWire
import SelfTelemetry
import Synchronization
import Testing

@testable import Pipeline
@testable import Sampling

/// One run after the other on the write-ahead log: what one has decided holds in the next, and what it has not decided is not lost.
@Suite struct TailCrashTests {
    /// Directories that are gone after the test.
    private final class Directories {
        private(set) var paths: [String] = []

        func make() -> String {
            var template = Array("/tmp/tail-test-XXXXXX".utf8CString)
            paths.append(mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/tail-test")
            return paths[paths.count - 1]
        }

        /// What a process that is killed now leaves behind.
        func image(of path: String) throws -> String {
            let copy = make()
            for name in try POSIXLogFiles().list(path) where name.hasSuffix(".wal") {
                let (source, target) = (open(path + "/" + name, O_RDONLY), open(copy + "/" + name, O_WRONLY | O_CREAT, 0o600))
                defer {
                    close(source)
                    close(target)
                }
                while sendfile(target, source, nil, 1 << 20) > 0 {}
            }
            return copy
        }

        deinit {
            for path in paths {
                for name in (try? POSIXLogFiles().list(path)) ?? [] where name != "." && name != ".." { unlink(path + "/" + name) }
                rmdir(path)
            }
        }
    }

    private let directories = Directories()

    /// A run of the collector: log, sampler, and the stage after it.
    private struct Run {
        let log: WriteAheadLog
        let stage: TailStage

        init(_ directory: String, _ config: TailSamplingConfig, next: SpanCollector = SpanCollector()) {
            let settings = WriteAheadLogSettings(directory: directory, maxSizeBytes: 16 << 20, segmentBytes: 1 << 20)
            log = WriteAheadLog(
                settings: settings, readers: ["traces"], registry: MetricRegistry(), logger: quietLogger, files: POSIXLogFiles(),
                timing: LogTiming(releaseInterval: .milliseconds(1), retryInterval: .milliseconds(1)))
            stage = TailStage(config, next: next, journal: log)
            let opened = Opened()
            log.whenOpen { opened.isOpen.store(true, ordering: .releasing) }
            log.open()
            #expect(eventually { opened.isOpen.load(ordering: .acquiring) })
        }

        private final class Opened: Sendable { let isOpen = Atomic<Bool>(false) }
        private final class Appended: Sendable { let sequence = Atomic<UInt64>(0) }

        /// In the log; not in the pipeline yet.
        func append(_ spans: [TestSpan]) -> UInt64 {
            let answer = Appended()
            let bytes = TestSpan.request(spans)
            return bytes.withUnsafeBytes { payload in
                log.append(LogRequest(signal: .traces, receivedUnixNano: 5, payload: payload)) { outcome in
                    if case .durable(let sequence) = outcome { answer.sequence.store(sequence, ordering: .releasing) }
                }
                #expect(eventually { answer.sequence.load(ordering: .acquiring) > 0 })
                return answer.sequence.load(ordering: .acquiring)
            }
        }

        func deliver(_ spans: [TestSpan], _ sequence: UInt64) throws {
            let hold = try #require(log.take(sequence, reader: 0))
            #expect(stage.processor.consume(SpanBatch(try TestSpan.batch(spans), hold: hold)) == .accepted)
        }

        func consume(_ spans: [TestSpan]) throws { try deliver(spans, append(spans)) }

        /// What former runs have left, as the pipeline's entry does it.
        func replay() throws -> Int {
            var cursor = LogCursor()
            var count = 0
            while let request = log.next(&cursor, reader: 0) {
                let batch = try request.withBytes { try TraceBatch.decode($0, receivedUnixNano: request.receivedUnixNano) }
                #expect(stage.processor.consume(SpanBatch(batch, hold: request.hold)) == .accepted)
                count += 1
            }
            return count
        }

        var unreleased: Int { log.withState { $0.segments.reduce(0) { $0 + $1.unreleasedCount(reader: 0) } } }

        /// Waits until the releases are in the log's files as well.
        func settle(unreleased count: Int) -> Bool {
            eventually { unreleased == count && !log.withState { $0.hasDirtyReleases } }
        }

        func stop() async {
            await stage.processor.shutdown(deadline: .now + patience)
            await log.close(deadline: .now + patience)
        }
    }

    private static let never = "decision_wait: 3600s"

    @Test func afterACrashTheRestOfAKeptTraceIsKept() async throws {
        let first = Run(directories.make(), try tailConfig(TailPolicy.errors, Self.never))
        try first.consume([.of(1)])
        try first.consume([.of(1, 2, isError: true)])
        #expect(first.stage.next.spans(atLeast: 2).count == 2)
        // In the log when the process dies, not in the pipeline.
        _ = first.append([.of(1, 3), .of(2)])
        #expect(first.settle(unreleased: 1))
        let image = try directories.image(of: first.log.directory)
        await first.stop()

        let second = Run(image, try tailConfig(TailPolicy.slow + "\n" + TailPolicy.errors, Self.never))
        #expect(try second.replay() == 1)
        #expect(second.stage.next.spans(atLeast: 1) == [LeftSpan(trace: 1, span: 3, adjustedCount: 1, reason: "errors")])
        #expect(second.stage.next.hasReplayed)
        #expect(second.stage.metric("sampling_traces_on_memory") == 1, "the other trace is undecided")
        await second.stop()
    }

    @Test func afterACrashTheRestOfADroppedTraceIsDropped() async throws {
        let first = Run(directories.make(), try tailConfig(TailPolicy.errors, "decision_wait: 5ms"))
        try first.consume([.of(1)])
        #expect(first.settle(unreleased: 0))
        _ = first.append([.of(1, 2, isError: true)])
        let image = try directories.image(of: first.log.directory)
        await first.stop()

        let second = Run(image, try tailConfig(TailPolicy.errors, Self.never))
        #expect(try second.replay() == 1)
        #expect(second.settle(unreleased: 0))
        #expect(second.stage.next.spans.isEmpty)
        #expect(second.stage.metric("early_releases_from_cache_decision_total", "sampled=\"false\"") == 1)
        await second.stop()
    }

    /// Whatever the moment, what has left or gone has its decision in the log.
    @Test func nothingIsCarriedOutBeforeItsDecisionIsInTheLog() async throws {
        let first = Run(directories.make(), try tailConfig(TailPolicy.errors, Self.never))
        for trace in 1...40 as ClosedRange<UInt64> {
            try first.consume([.of(trace, 1, isError: true)])
            #expect(first.stage.next.spans(atLeast: Int(trace)).count == Int(trace))
            guard trace % 8 == 0 else { continue }
            let second = Run(try directories.image(of: first.log.directory), try tailConfig(TailPolicy.slow, Self.never))
            _ = try second.replay()
            for known in 1...trace { try second.consume([.of(known, 2)]) }
            #expect(eventually { Set(second.stage.next.spans.filter { $0.span == 2 }.map(\.trace)) == Set(1...trace) })
            await second.stop()
        }
        await first.stop()
    }

    @Test func undecidedTracesAreAssembledAgainAfterAStop() async throws {
        let directory = directories.make()
        let first = Run(directory, try tailConfig(TailPolicy.many, Self.never))
        try first.consume([.of(1, 1), .of(2, 1)])
        try first.consume([.of(1, 2)])
        #expect(first.unreleased == 2)
        await first.stop()
        #expect(first.stage.next.spans.isEmpty)

        let second = Run(directory, try tailConfig(TailPolicy.many, Self.never))
        #expect(try second.replay() == 2)
        try second.consume([.of(1, 3)])
        try second.consume([.of(1, 4)])
        #expect(second.stage.next.spans(atLeast: 4).map(\.span) == [1, 2, 3, 4])
        #expect(Set(second.stage.next.spans.map(\.trace)) == [1])
        await second.stop()
    }

    /// One request with a trace that is decided about and one that is not: it stays in the log for the second, and comes again for both.
    @Test func aRequestThatComesAgainMeetsTheFateItsSpansHaveMet() async throws {
        let directory = directories.make()
        let first = Run(directory, try tailConfig(TailPolicy.errors, Self.never))
        try first.consume([.of(1, 1, isError: true), .of(2, 1)])
        #expect(first.stage.next.spans(atLeast: 1).count == 1)
        await first.stop()

        let second = Run(directory, try tailConfig(TailPolicy.many, Self.never))
        #expect(try second.replay() == 1)
        #expect(second.stage.next.spans(atLeast: 1) == [LeftSpan(trace: 1, span: 1, adjustedCount: 1, reason: "errors")])
        #expect(second.stage.next.hasReplayed, "the exporter looks before it inserts")
        #expect(second.stage.metric("sampling_traces_on_memory") == 1)
        await second.stop()
    }

    @Test func whatTheNextStageHasNotTakenAtTheStopComesAgainAsItWasDecided() async throws {
        let directory = directories.make()
        let first = Run(directory, try tailConfig(TailPolicy.errors, Self.never), next: SpanCollector(.refusesAnyway))
        try first.consume([.of(1, isError: true)])
        await first.stage.processor.shutdown(deadline: .now + .milliseconds(10))
        #expect(first.unreleased == 1)
        await first.log.close(deadline: .now + patience)

        let second = Run(directory, try tailConfig(TailPolicy.many, Self.never))
        #expect(try second.replay() == 1)
        #expect(second.stage.next.spans(atLeast: 1) == [LeftSpan(trace: 1, span: 1, adjustedCount: 1, reason: "errors")])
        #expect(second.settle(unreleased: 0))
        await second.stop()
    }

    @Test func decisionsHoldOverSeveralRunsWhileTheirRequestsAreInTheLog() async throws {
        let directory = directories.make()
        var run = Run(directory, try tailConfig(TailPolicy.errors, Self.never))
        let waiting = run.append([.of(1, 9)])
        try run.consume([.of(1, isError: true)])
        #expect(run.stage.next.spans(atLeast: 1).count == 1)
        for _ in 0..<3 {
            await run.stop()
            run = Run(directory, try tailConfig(TailPolicy.many, Self.never))
        }
        #expect(waiting > 0)
        #expect(try run.replay() == 1)
        #expect(run.stage.next.spans(atLeast: 1) == [LeftSpan(trace: 1, span: 9, adjustedCount: 1, reason: "errors")])
        await run.stop()
    }

    @Test func withoutRoomInTheLogDecisionsAreCarriedOutAndThatIsCounted() async throws {
        let first = Run(directories.make(), try tailConfig(TailPolicy.errors, Self.never))
        let sequence = first.append([.of(1, isError: true)])
        await first.log.close(deadline: .now + patience)
        try first.deliver([.of(1, isError: true)], sequence)
        #expect(first.stage.next.spans(atLeast: 1).count == 1)
        #expect(first.stage.metric("decisions_not_logged_total") == 1)
        await first.stage.processor.shutdown(deadline: .now + patience)
    }
}
