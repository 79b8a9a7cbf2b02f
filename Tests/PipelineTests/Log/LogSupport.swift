import Glibc
import Logging
import SelfTelemetry
import Synchronization
import Testing
@testable import Pipeline

/// A directory that is gone after the test.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/wal-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/wal-test"
    }

    deinit {
        for name in (try? POSIXLogFiles().list(path)) ?? [] where name != "." && name != ".." { unlink(path + "/" + name) }
        rmdir(path)
    }

    var segments: [String] { ((try? POSIXLogFiles().list(path)) ?? []).filter { $0.hasSuffix(".wal") }.sorted() }
}

/// Collects what `append` answered.
final class Answers: @unchecked Sendable {
    private let lock = ConditionLock()
    private var outcomes: [Int: AppendOutcome] = [:]

    func completion(_ index: Int) -> @Sendable (AppendOutcome) -> Void {
        { [self] outcome in
            lock.withLock {
                precondition(outcomes[index] == nil, "answered twice")
                outcomes[index] = outcome
                lock.broadcast()
            }
        }
    }

    /// Waits for that many answers.
    func all(_ count: Int) -> [AppendOutcome?] {
        let deadline = ContinuousClock.now + patience
        return lock.withLock {
            while outcomes.count < count, lock.wait(until: deadline) {}
            return (0..<count).map { outcomes[$0] }
        }
    }
}

extension WriteAheadLog {
    static func make(
        _ settings: WriteAheadLogSettings, readers: [String] = ["traces"], registry: MetricRegistry = MetricRegistry(),
        files: any LogFiles = POSIXLogFiles(), timing: LogTiming = LogTiming(), clock: LogClock = .system
    ) -> WriteAheadLog {
        WriteAheadLog(
            settings: settings, readers: readers, registry: registry, logger: quietLogger, files: files, timing: timing, clock: clock)
    }

    /// Opens and waits until it is usable.
    func openAndWait() {
        let opened = Answers()
        whenOpen { opened.completion(0)(.repeated) }
        open()
        _ = opened.all(1)
    }

    /// Appends one request and waits for the answer.
    func append(_ bytes: [UInt8], project: String = "", at time: UInt64 = LogClock.system.wall()) -> AppendOutcome? {
        let answers = Answers()
        return bytes.withUnsafeBytes { payload in
            append(
                LogRequest(signal: .traces, project: project, receivedUnixNano: time, payload: payload), completion: answers.completion(0))
            return answers.all(1)[0]
        }
    }

    func close() async { await close(deadline: .now + .seconds(20)) }

    /// Everything that `next` has to give, kept in the log.
    func readAll(reader: Int = 0, keep: Bool = true) -> [[UInt8]] {
        var cursor = LogCursor()
        var found: [[UInt8]] = []
        while let request = next(&cursor, reader: reader) {
            found.append(request.withBytes { Array($0) })
            if keep { request.hold.keep() }
        }
        return found
    }
}

func settings(_ directory: String, segmentBytes: Int = 1 << 20, maxSizeBytes: Int = 16 << 20) -> WriteAheadLogSettings {
    WriteAheadLogSettings(directory: directory, maxSizeBytes: maxSizeBytes, segmentBytes: segmentBytes)
}

func bytes(_ count: Int, _ seed: UInt8) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) &* 31 &+ seed } }
