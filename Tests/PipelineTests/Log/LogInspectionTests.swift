import Glibc
import Testing
@testable import Pipeline

@Suite struct LogInspectionTests {
    private let directory = TemporaryDirectory()

    private func overwrite(_ name: String, at offset: Int, _ byte: UInt8) {
        let descriptor = open(directory.path + "/" + name, O_WRONLY)
        defer { close(descriptor) }
        var byte = byte
        #expect(pwrite(descriptor, &byte, 1, off_t(offset)) == 1)
    }

    @Test func aLogInUseIsShownWithoutDisturbingIt() async {
        let log = WriteAheadLog.make(settings(directory.path), readers: ["traces", "traces/b"])
        log.openAndWait()
        for index in 0..<5 { _ = log.append(bytes(100, UInt8(index))) }
        let seen = LogInspection.read(directory: directory.path, keepsRecords: true)
        #expect(seen?.isDamaged == false)
        #expect(seen?.segments.map(\.requestCount) == [5])
        #expect(seen?.segments[0].records.filter { $0.kind == "request" }.map(\.sequence) == [1, 2, 3, 4, 5])
        #expect(seen?.segments[0].records[0].payloadBytes == 100)
        _ = log.take(2, reader: 1)
        await log.close()
        let after = LogInspection.read(directory: directory.path, keepsRecords: false)
        #expect(after?.segments[0].readers.map { "\($0.name) \($0.releasedRequests)" } == ["traces 0", "traces/b 1"])
        #expect(after?.directoryID == log.identity.id)
    }

    @Test func damageIsFoundWhereItIs() async throws {
        let log = WriteAheadLog.make(settings(directory.path))
        log.openAndWait()
        for index in 0..<5 { _ = log.append(bytes(100, UInt8(index))) }
        await log.close()
        let name = try #require(directory.segments.first)
        let clean = try #require(LogInspection.read(directory: directory.path, keepsRecords: true))
        let second = clean.segments[0].records[1]
        overwrite(name, at: second.offset + RecordHeader.bytes + 3, 0xEE)
        let damaged = try #require(LogInspection.read(directory: directory.path, keepsRecords: false))
        #expect(damaged.isDamaged)
        #expect(damaged.segments[0].damagedRecords.map(\.sequence) == [2])
        overwrite(name, at: second.offset, 0)
        let worse = try #require(LogInspection.read(directory: directory.path, keepsRecords: false))
        #expect(worse.segments[0].damagedRanges == [second.offset..<second.offset + second.bytes])
    }

    @Test func anIncompleteRecordAtTheEndIsNoDamage() async throws {
        let log = WriteAheadLog.make(settings(directory.path))
        log.openAndWait()
        for index in 0..<3 { _ = log.append(bytes(100, UInt8(index))) }
        await log.close()
        let name = try #require(directory.segments.first)
        let whole = try #require(LogInspection.read(directory: directory.path, keepsRecords: false))
        #expect(truncate(directory.path + "/" + name, off_t(whole.segments[0].endOffset - 20)) == 0)
        let cut = try #require(LogInspection.read(directory: directory.path, keepsRecords: false))
        #expect(!cut.isDamaged)
        #expect(cut.segments[0].hasTail)
        #expect(cut.segments[0].requestCount == 2)
    }

    @Test func whatIsNoDirectoryCannotBeInspected() {
        #expect(LogInspection.read(directory: directory.path + "/none", keepsRecords: false) == nil)
    }
}
