import Glibc
import SelfTelemetry
import Synchronization
import Testing
@testable import Pipeline

/// A disk that fails exactly as told.
private final class BrokenFiles: LogFiles, @unchecked Sendable {
    private let lock = ConditionLock()
    private let files = POSIXLogFiles()
    private var failures: [String: Int32] = [:]
    private var isSyncBlocked = false

    func fail(_ call: String, _ code: Int32?) { lock.withLock { failures[call] = code } }

    func blockSync(_ blocked: Bool) {
        lock.withLock {
            isSyncBlocked = blocked
            lock.broadcast()
        }
    }

    private func check(_ call: StaticString) throws(LogFileError) {
        if let code = lock.withLock({ failures["\(call)"] }) { throw LogFileError(code, call) }
    }

    func makeDirectory(_ path: String) throws(LogFileError) { try files.makeDirectory(path) }
    func lock(_ path: String) throws(LogFileError) -> LogFile { try files.lock(path) }
    func list(_ directory: String) throws(LogFileError) -> [String] { try files.list(directory) }
    func create(_ path: String, bytes: Int) throws(LogFileError) -> LogFile {
        try check("create")
        return try files.create(path, bytes: bytes)
    }
    func open(_ path: String, forWriting: Bool) throws(LogFileError) -> LogFile { try files.open(path, forWriting: forWriting) }
    func size(_ file: LogFile) throws(LogFileError) -> Int { try files.size(file) }
    func write(_ file: LogFile, _ parts: UnsafeBufferPointer<iovec>, at offset: Int) throws(LogFileError) -> Int {
        try check("write")
        return try files.write(file, parts, at: offset)
    }
    func read(_ file: LogFile, into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(LogFileError) -> Int {
        try check("read")
        return try files.read(file, into: buffer, at: offset)
    }
    func sync(_ file: LogFile) throws(LogFileError) {
        lock.withLock { while isSyncBlocked { _ = lock.wait(until: nil) } }
        try check("sync")
        try files.sync(file)
    }
    func syncDirectory(_ path: String) throws(LogFileError) { try files.syncDirectory(path) }
    func truncate(_ file: LogFile, to bytes: Int) throws(LogFileError) { try files.truncate(file, to: bytes) }
    func remove(_ path: String) throws(LogFileError) { try files.remove(path) }
    func close(_ file: LogFile) { files.close(file) }
}

@Suite struct LogFailureTests {
    private let directory = TemporaryDirectory()
    private let files = BrokenFiles()
    private let quick = LogTiming(releaseInterval: .milliseconds(1), retryInterval: .milliseconds(1))

    private func waitUntil(_ condition: () -> Bool) -> Bool {
        let deadline = ContinuousClock.now + patience
        while !condition() { if ContinuousClock.now > deadline { return false } }
        return true
    }

    @Test(arguments: ["sync", "write"], [EIO, ENOSPC]) func afterAFailedCommitTheRequestIsRefusedAndTheLogRecoversByItself(
        call: String, code: Int32
    ) async {
        let registry = MetricRegistry()
        let log = WriteAheadLog.make(settings(directory.path), registry: registry, files: files, timing: quick)
        log.openAndWait()
        #expect(log.append([1]) == .durable(sequence: 1))
        files.fail(call, code)
        #expect(log.append([2]) == .refused(.logUnavailable))
        #expect(log.admission == .retryable(.logUnavailable, after: nil))
        guard case .degraded(let text) = log.health else { Issue.record("healthy"); return }
        #expect(text.contains("cannot be written"))
        // Reading goes on meanwhile.
        #expect(log.readAll() == [[1]])
        files.fail(call, nil)
        #expect(waitUntil { log.health == .ok })
        guard case .durable = log.append([2]) else { Issue.record("the refused request was taken for a repeat"); return }
        #expect(registry.counter("collector_wal_sync_failures_total", help: "").value > 0)
        await log.close()
        let again = WriteAheadLog.make(settings(directory.path))
        again.openAndWait()
        #expect(again.readAll() == [[1], [2]])
        await again.close()
    }

    @Test func aRepeatOfARequestThatIsBeingWrittenSharesItsFate() async {
        let log = WriteAheadLog.make(settings(directory.path), files: files, timing: quick)
        log.openAndWait()
        let payload = bytes(1_000, 3)
        let refused = AppendOutcome.refused(.logUnavailable)
        for (fails, first, second) in [(true, refused, refused), (false, .durable(sequence: 0), .repeated)] {
            files.blockSync(true)
            let answers = Answers()
            payload.withUnsafeBytes { raw in
                for index in 0..<2 {
                    log.append(LogRequest(signal: .traces, receivedUnixNano: 1, payload: raw), completion: answers.completion(index))
                }
                files.fail("sync", fails ? EIO : nil)
                files.blockSync(false)
                let outcomes = answers.all(2)
                if case .durable = outcomes[0] { #expect(!fails) } else { #expect(outcomes[0] == first) }
                #expect(outcomes[1] == second)
            }
            files.fail("sync", nil)
            #expect(waitUntil { log.health == .ok })
        }
        await log.close()
    }

    @Test func aFullLogRefusesUntilItsOldestRecordsAreReleased() async {
        let small = settings(directory.path, segmentBytes: 1 << 20, maxSizeBytes: 2 << 20)
        let registry = MetricRegistry()
        let log = WriteAheadLog.make(small, registry: registry, timing: quick)
        log.openAndWait()
        var holds: [LogHold] = []
        var index: UInt8 = 0
        while case .durable(let sequence) = log.append(bytes(100_000, index)) {
            if let hold = log.take(sequence, reader: 0) { holds.append(hold) }
            index += 1
        }
        #expect(holds.count >= 16)
        #expect(log.append([1]) == .refused(.logFull))
        #expect(log.admission == .retryable(.logFull, after: nil))
        #expect(log.health == .degraded("the write-ahead log is full: requests are refused until exporters catch up"))
        holds.removeFirst(holds.count / 2 + 2)
        #expect(log.admission == .retryable(.logFull, after: nil))
        holds = []
        #expect(waitUntil { log.admission == .accepted })
        guard case .durable = log.append([1]) else { Issue.record("still full"); return }
        #expect(log.append(bytes(100_000, 0)) == .repeated)
        await log.close()
    }

    @Test func aFullDiskIsNoReasonToStopAndGoesAway() async {
        let log = WriteAheadLog.make(settings(directory.path), files: files, timing: quick)
        files.fail("create", ENOSPC)
        log.openAndWait()
        #expect(log.append([1]) == .refused(.logUnavailable))
        files.fail("create", nil)
        #expect(waitUntil { log.admission == .accepted })
        #expect(log.append([1]).map { if case .durable = $0 { true } else { false } } == true)
        await log.close()
    }

    @Test func aLockedDirectoryIsTakenOverWhenItsOwnerIsGone() async {
        let first = WriteAheadLog.make(settings(directory.path))
        first.openAndWait()
        #expect(first.append([1]) == .durable(sequence: 1))
        let second = WriteAheadLog.make(settings(directory.path), timing: quick)
        second.open()
        #expect(waitUntil { second.health == .degraded("the write-ahead log's directory is used by another process") })
        #expect(second.append([1]) == .refused(.logUnavailable))
        await first.close()
        #expect(waitUntil { second.admission == .accepted })
        #expect(second.readAll() == [[1]])
        await second.close()
    }

    @Test func aDirectoryThatCannotBeMadeIsTriedAgain() async {
        let path = directory.path + "/wal"
        let file = open(path, O_CREAT | O_WRONLY, 0o600)
        close(file)
        let log = WriteAheadLog.make(settings(path + "/deeper"), timing: quick)
        log.open()
        #expect(waitUntil { if case .degraded(let text) = log.health { text.contains("cannot be used") } else { false } })
        unlink(path)
        #expect(waitUntil { log.admission == .accepted })
        await log.close()
        for name in (try? POSIXLogFiles().list(path + "/deeper")) ?? [] { unlink(path + "/deeper/" + name) }
        rmdir(path + "/deeper")
        rmdir(path)
    }

    @Test func aRecordThatCannotBeReadNowStaysForTheNextStart() async {
        let log = WriteAheadLog.make(settings(directory.path), files: files)
        log.openAndWait()
        #expect(log.append([1]) == .durable(sequence: 1))
        files.fail("read", EIO)
        #expect(log.readAll() == [])
        files.fail("read", nil)
        await log.close()
        let again = WriteAheadLog.make(settings(directory.path))
        again.openAndWait()
        #expect(again.readAll() == [[1]])
        await again.close()
    }

    @Test func afterCloseRequestsAreRefusedAndReleasesForgotten() async {
        let log = WriteAheadLog.make(settings(directory.path))
        #expect(log.append([1]) == .refused(.logUnavailable))
        log.openAndWait()
        guard case .durable(let sequence) = log.append([1]) else { Issue.record("refused"); return }
        let hold = log.take(sequence, reader: 0)
        await log.close()
        #expect(log.append([2]) == .refused(.shuttingDown))
        #expect(hold != nil)
        withExtendedLifetime(hold) {}
        let again = WriteAheadLog.make(settings(directory.path))
        again.openAndWait()
        #expect(again.readAll() == [[1]])
        await again.close()
    }
}
