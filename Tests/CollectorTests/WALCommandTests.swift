import ArgumentParser
import Glibc
import Logging
import OTLPWire
import Pipeline
import SelfTelemetry
import Testing
@testable import Collector

@Suite final class WALCommandTests {
    private let directory: String

    init() {
        var template = Array("/tmp/wal-command-XXXXXX".utf8CString)
        directory = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/wal-command"
    }

    deinit {
        for name in names { unlink(directory + "/" + name) }
        rmdir(directory)
    }

    private var names: [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self) }
            names.append(String(cString: name))
        }
        return names
    }

    /// A log of three requests, the second of which is released.
    private func writeLog() async {
        let log = WriteAheadLog(
            settings: WriteAheadLogSettings(directory: directory, segmentBytes: 1 << 20), readers: ["traces"], registry: MetricRegistry(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        log.open()
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in log.whenOpen { done.resume() } }
        for index in UInt8(0)..<3 {
            let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 8)
            payload.initializeMemory(as: UInt8.self, repeating: index)
            await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
                log.append(LogRequest(signal: .traces, receivedUnixNano: 7, payload: WireBytes(payload))) { _ in done.resume() }
            }
            payload.deallocate()
        }
        _ = log.take(2, reader: 0)
        await log.close(deadline: .now + .seconds(20))
    }

    private func inspection(records: Bool = false) throws -> LogInspection {
        try #require(LogInspection.read(directory: directory, keepsRecords: records))
    }

    @Test func inspectListsSegmentsPipelinesAndRecords() async throws {
        await writeLog()
        let segment = try #require(try inspection(records: true).segments.first)
        let lines = segment.text.split(separator: "\n")
        #expect(lines[0].hasPrefix("segment file=0000000000000001.wal run=1 first=1 requests=3 bytes="))
        #expect(lines[0].contains(" tail=none "))
        #expect(lines[1] == "  pipeline traces released=1/3")
        #expect(
            lines[2] == "  record offset=16384 bytes=168 kind=request sequence=1 payload_bytes=100 received_unix_nano=7 state=ok")
        #expect(try inspection().summary.contains("segments=1 requests=3"))
    }

    @Test func verifyEndsWithOneWhenSomethingIsDamagedAndSaysWhere() async throws {
        await writeLog()
        try WALVerifyCommand.parse([directory]).run()
        let record = try #require(try inspection(records: true).segments.first?.records.first)
        let file = open(directory + "/0000000000000001.wal", O_WRONLY)
        var byte: UInt8 = 0xFF
        #expect(pwrite(file, &byte, 1, off_t(record.offset + 80)) == 1)
        close(file)
        #expect(throws: ExitCode(1)) { try WALVerifyCommand.parse([directory]).run() }
        #expect(try inspection().damageText == "damage file=0000000000000001.wal offset=16384 bytes=168 request sequence=1\n")
        #expect(throws: ExitCode(1)) { try WALVerifyCommand.parse([directory + "/missing"]).run() }
    }
}
