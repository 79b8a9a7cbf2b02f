import Glibc
import OTLPWire
import SelfTelemetry

@testable import Exporters
@testable import Pipeline

/// A real write-ahead log in a directory of its own, for batches as a start after a crash finds them.
final class ReplayLog {
    let directory = ScratchDirectory()

    /// Appends the requests in one run.
    ///
    /// - Returns: the batches as that run hands them to its exporters, and that run's log. Holds are kept, as by a process that dies.
    func run(_ requests: [[UInt8]], received: UInt64) async throws -> (batches: [SpanBatch], log: WriteAheadLog) {
        let log = await open()
        for request in requests {
            let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: request.count, alignment: 8)
            defer { payload.deallocate() }
            payload.copyBytes(from: request)
            let logged = LogRequest(signal: .traces, receivedUnixNano: received, payload: WireBytes(payload))
            await withCheckedContinuation { done in log.append(logged) { _ in done.resume() } }
        }
        let batches = try read(log)
        for batch in batches { _ = batch.keepInLog() }
        return (batches, log)
    }

    /// Opens the log as the next run does; what it replays.
    func replay() async throws -> (batches: [SpanBatch], log: WriteAheadLog) {
        let log = await open()
        return (try read(log), log)
    }

    private func open() async -> WriteAheadLog {
        let settings = WriteAheadLogSettings(directory: directory.path, maxSizeBytes: 64 << 20, segmentBytes: 16 << 20, dedupWindow: .zero)
        let log = WriteAheadLog(settings: settings, readers: ["traces"], registry: MetricRegistry(), logger: Silent.logger)
        await withCheckedContinuation { done in
            log.whenOpen { done.resume() }
            log.open()
        }
        return log
    }

    private func read(_ log: WriteAheadLog) throws -> [SpanBatch] {
        var cursor = LogCursor()
        var batches: [SpanBatch] = []
        while let request = log.next(&cursor, reader: 0) {
            let batch = try request.withBytes { try TraceBatch.decode($0, receivedUnixNano: request.receivedUnixNano) }
            batches.append(SpanBatch(batch, hold: request.hold))
        }
        return batches
    }
}

/// A directory that is gone after the test; no directories in it.
final class ScratchDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/export-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/export-test"
    }

    deinit {
        for name in names { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    var names: [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
