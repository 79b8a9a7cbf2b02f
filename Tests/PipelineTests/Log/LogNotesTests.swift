import Glibc
import SelfTelemetry
import Testing
@testable import Pipeline

/// What stages write down for the next run.
@Suite struct LogNotesTests {
    private let directory = TemporaryDirectory()
    private let quick = LogTiming(releaseInterval: .milliseconds(1), retryInterval: .milliseconds(1))

    private func open(_ registry: MetricRegistry = MetricRegistry(), files: (any LogFiles)? = nil) -> WriteAheadLog {
        let log = WriteAheadLog.make(settings(directory.path), registry: registry, files: files ?? POSIXLogFiles(), timing: quick)
        log.openAndWait()
        return log
    }

    private func value(_ registry: MetricRegistry, _ name: String) -> Double? {
        registry.prometheusText().split(separator: "\n").first { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }
            .flatMap { $0.split(separator: " ").last }.flatMap { Double(String($0)) }
    }

    @Test func aNoteIsReadOnceByItsTopicInTheNextRun() async {
        let first = open()
        #expect(first.appendNote([1, 2, 3], topic: "a") && first.appendNote([], topic: "b") && first.appendNote([4], topic: "a"))
        #expect(first.takeNotes(topic: "a").isEmpty, "those of this run are for the next")
        await first.close()
        let second = open()
        #expect(second.takeNotes(topic: "a") == [[1, 2, 3], [4]])
        #expect(second.takeNotes(topic: "a").isEmpty && second.takeNotes(topic: "b") == [[]] && second.takeNotes(topic: "c").isEmpty)
        await second.close()
    }

    @Test func aNoteIsDurableWhenItsCallerGoesOn() async {
        var random = SeededNumbers(seed: 4)
        let disk = Disk()
        let files = FaultyFiles(disk, seed: 1)
        let log = WriteAheadLog.make(settings("wal"), files: files, timing: quick)
        log.openAndWait()
        // Something that is never released, so that the segment stays.
        _ = log.append(bytes(50, 1))
        for index in 0..<20 as Range<UInt8> { #expect(log.appendNote(bytes(100, index), topic: "t")) }
        files.die()
        await log.close()
        disk.cutPower(&random)
        disk.isLocked = false
        let next = WriteAheadLog.make(settings("wal"), files: FaultyFiles(disk, seed: 2), timing: quick)
        next.openAndWait()
        #expect(next.takeNotes(topic: "t") == (0..<20).map { bytes(100, $0) })
        await next.close()
    }

    @Test func aNoteIsNoRequest() async {
        let registry = MetricRegistry()
        let log = open(registry)
        _ = log.append(bytes(10, 1))
        for _ in 0..<5 { #expect(log.appendNote(bytes(10, 1), topic: "")) }
        // The same bytes are a request that has not been seen.
        #expect(log.append(bytes(10, 2)) == .durable(sequence: 7))
        #expect(log.append(bytes(10, 2)) == .repeated)
        #expect(log.readAll() == [bytes(10, 1), bytes(10, 2)])
        for sequence in 2...6 as ClosedRange<UInt64> { #expect(log.take(sequence, reader: 0) == nil) }
        #expect(value(registry, "collector_wal_appended_requests_total") == 2)
        #expect(value(registry, "collector_wal_appended_bytes_total") == 20)
        #expect(value(registry, "collector_wal_fingerprints") == 2)
        #expect(value(registry, "collector_wal_unreleased_requests") == 2)
        await log.close()
        let again = MetricRegistry()
        let next = open(again)
        #expect(value(again, "collector_wal_fingerprints") == 2 && value(again, "collector_wal_unreleased_requests") == 2)
        #expect(value(again, "collector_wal_unknown_records_total") == 0 && value(again, "collector_wal_corrupt_records_total") == 0)
        #expect(next.readAll() == [bytes(10, 1), bytes(10, 2)])
        await next.close()
    }

    @Test func theSameNoteAgainIsAnother() async {
        let log = open()
        for _ in 0..<3 { #expect(log.appendNote([9], topic: "t")) }
        await log.close()
        let next = open()
        #expect(next.takeNotes(topic: "t") == [[9], [9], [9]])
        await next.close()
    }

    /// A note outlives all that was in the log before it, and goes with its segment.
    @Test func notesGoWithTheirSegmentAfterEverythingBeforeThem() async {
        let log = open()
        let limits = 300_000
        guard case .durable(let first)? = log.append(bytes(1_000, 1)) else { return #expect(Bool(false)) }
        #expect(log.appendNote(bytes(100, 7), topic: "t"))
        for index in 0..<12 as Range<UInt8> { _ = log.append(bytes(limits - 1_000 * Int(index), index)) }
        let segments = directory.segments.count
        #expect(segments >= 3)
        let hold = log.take(first, reader: 0)
        for request in Requests(log) { _ = request.sequence }
        // Everything but the first is released: its segment stays, and with it the note.
        hold?.keep()
        await log.close()
        let second = open()
        #expect(second.takeNotes(topic: "t") == [bytes(100, 7)])
        for request in Requests(second) { _ = request.sequence }
        let deadline = ContinuousClock.now + patience
        while directory.segments.count > 1, ContinuousClock.now < deadline {}
        await second.close()
        let third = open()
        #expect(third.takeNotes(topic: "t").isEmpty, "its segment is gone")
        await third.close()
    }

    /// Everything the log has for the reader, released as it goes by.
    private struct Requests: Sequence, IteratorProtocol {
        private let log: WriteAheadLog
        private var cursor = LogCursor()

        init(_ log: WriteAheadLog) { self.log = log }
        mutating func next() -> LoggedRequest? { log.next(&cursor, reader: 0) }
    }

    @Test func aNoteThatWasRefusedIsNotReadBack() async {
        let disk = Disk()
        let registry = MetricRegistry()
        let files = FaultyFiles(disk, seed: 3)
        let log = WriteAheadLog.make(settings("wal"), registry: registry, files: files, timing: quick)
        log.openAndWait()
        _ = log.append(bytes(50, 1))
        var taken: [[UInt8]] = []
        var refused = 0
        files.set(.failing)
        for index in 0..<200 as Range<UInt8> {
            let body = [index] + bytes(200, index)
            if log.appendNote(body, topic: "t") { taken.append(body) } else { refused += 1 }
        }
        files.set(.reliable)
        #expect(refused > 10 && value(registry, "collector_wal_refused_requests_total") == 0)
        let deadline = ContinuousClock.now + patience
        while !log.appendNote([255], topic: "t"), ContinuousClock.now < deadline {}
        await log.close()
        disk.isLocked = false
        let next = WriteAheadLog.make(settings("wal"), files: FaultyFiles(disk, seed: 4), timing: quick)
        next.openAndWait()
        #expect(next.takeNotes(topic: "t") == taken + [[255]])
        await next.close()
    }

    @Test func aLogThatDoesNotTakeNotesSaysSoAtOnce() async {
        let closed = WriteAheadLog.make(settings(directory.path))
        #expect(!closed.appendNote([1], topic: "t"), "not open yet")
        let small = WriteAheadLogSettings(directory: directory.path, maxSizeBytes: 256 << 10, segmentBytes: 128 << 10)
        let log = WriteAheadLog.make(small, timing: quick)
        log.openAndWait()
        var index: UInt8 = 0
        while log.append(bytes(10_000, index)) != .refused(.logFull) { index += 1 }
        // A thread that asked the disk again and again would take longer.
        let start = ContinuousClock.now
        for _ in 0..<1_000 { #expect(!log.appendNote([1], topic: "t")) }
        #expect(ContinuousClock.now - start < patience)
        await log.close()
        #expect(!log.appendNote([1], topic: "t"), "closed")
    }

    @Test func aTopicOrNoteThatIsTooLongIsRefused() async {
        let log = open()
        #expect(!log.appendNote([1], topic: String(repeating: "t", count: LogLimits.projectBytesMax + 1)))
        #expect(log.appendNote([1], topic: String(repeating: "t", count: LogLimits.projectBytesMax)))
        #expect(!log.appendNote(bytes(100_000, 1) + [UInt8](repeating: 0, count: 17 << 20), topic: "t"), "larger than the whole log")
        #expect(log.appendNote([2], topic: "t"))
        await log.close()
    }

    @Test func inspectionTellsNotesFromRequests() async throws {
        let log = open()
        _ = log.append(bytes(10, 1))
        #expect(log.appendNote(bytes(30, 1), topic: "topic"))
        _ = log.append(bytes(10, 2))
        #expect(log.appendNote(bytes(30, 2), topic: "topic"))
        _ = log.take(3, reader: 0)
        await log.close()
        let seen = try #require(LogInspection.read(directory: directory.path, keepsRecords: true))
        #expect(!seen.isDamaged)
        #expect(seen.segments.map(\.requestCount) == [2] && seen.segments.map(\.noteCount) == [2])
        #expect(seen.segments[0].records.prefix(4).map(\.kind) == ["request", "note", "request", "note"])
        // The bits of what is no request are written with the others.
        #expect(seen.segments[0].readers.map(\.releasedRequests) == [1])
    }

    @Test func manyThreadsMayWriteNotesAtOnce() async {
        let log = open()
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 as Range<UInt8> {
                group.addTask { for index in 0..<50 as Range<UInt8> { #expect(log.appendNote([thread, index], topic: "t\(thread)")) } }
            }
        }
        await log.close()
        let next = open()
        for thread in 0..<4 as Range<UInt8> { #expect(next.takeNotes(topic: "t\(thread)") == (0..<50).map { [thread, $0] }) }
        await next.close()
    }
}
