import Glibc
import Pipeline
import Testing
@testable import Exporters

@Suite struct SQLiteStoreTests {
    private let fixture: SQLiteFixture

    init() throws {
        fixture = try SQLiteFixture()
    }

    private func problem(_ outcome: WriteOutcome) throws -> ExportProblem {
        guard case .retryable(let problem, _) = outcome else {
            Issue.record("expected a failure that is tried again, not \(outcome)")
            return ExportProblem(kind: "", "")
        }
        return problem
    }

    private var count: String? { get throws { try fixture.value("select count(*) from traces") } }

    @Test func aFullDiskLosesNothingAndDoublesNothing() throws {
        let session = try SQLiteSession(fixture.config)
        let pages = try #require(try session.connection.integer("pragma page_count"))
        try session.connection.execute("pragma max_page_count = \(pages + 2)")
        let small = try Sample.batch(Sample.spans(0..<2))
        var large = try Sample.batch(Sample.spans(2..<1_000))
        large.append(try Sample.batch(Sample.spans(1_000..<1_001), resource: [("service.name", .text("late"))]))
        #expect(try session.write(small).refused == 0)
        for _ in 0..<3 {
            let failure = try #require(throws: SQLiteSession.Failure.self) { _ = try session.write(large) }
            guard case .sqlite(let error) = failure else { throw failure }
            #expect(SQLiteProblem.of(error, path: "x").kind == "disk")
            #expect(!SQLiteProblem.requiresReopen(error))
            #expect(!session.connection.isInTransaction)
            #expect(try count == "2")
        }
        try session.connection.execute("pragma max_page_count = 1000000")
        #expect(try session.write(large).refused == 0)
        #expect(try count == "1001")
        #expect(try fixture.value("select count(distinct span_id) from traces") == "1001")
        #expect(try fixture.value("select count(*) from spans where resource_attributes is null") == "0")
    }

    @Test func nobodyButOwnerAndGroupMayReadTheFiles() throws {
        let session = try SQLiteSession(fixture.config)
        #expect(try session.write(try Sample.batch(Sample.spans(0..<1))).refused == 0)
        for suffix in ["", "-wal", "-shm"] {
            var status = stat()
            #expect(stat(fixture.config.path + suffix, &status) == 0)
            #expect(status.st_mode & 0o007 == 0, "\(suffix)")
        }
    }

    @Test func aLockedDatabaseIsTriedAgain() throws {
        let session = try SQLiteSession(fixture.config)
        session.connection.setBusyTimeout(milliseconds: 0)
        let other = try SQLiteConnection(path: fixture.path)
        try other.execute("begin immediate")
        let batch = try Sample.batch(Sample.spans(0..<5))
        let failure = try #require(throws: SQLiteSession.Failure.self) { _ = try session.write(batch) }
        guard case .sqlite(let error) = failure else { throw failure }
        #expect(SQLiteProblem.of(error, path: "x").kind == "locked")
        try other.execute("rollback")
        _ = try session.write(batch)
        #expect(try count == "5")
    }

    @Test func aDatabaseThatMayNotBeWrittenIsReportedAndOpenedAnew() throws {
        let session = try SQLiteSession(fixture.config)
        try session.connection.execute("pragma query_only = 1")
        let batch = try Sample.batch(Sample.spans(0..<5))
        let failure = try #require(throws: SQLiteSession.Failure.self) { _ = try session.write(batch) }
        guard case .sqlite(let error) = failure else { throw failure }
        #expect(SQLiteProblem.of(error, path: "x").kind == "permission")
        #expect(SQLiteProblem.requiresReopen(error))
        #expect(try count == "0")
    }

    /// The superuser may write everything.
    @Test(.enabled(if: geteuid() != 0)) func aFileWithoutWritePermissionIsRefused() throws {
        try fixture.store().open()
        #expect(chmod(fixture.path, 0o444) == 0)
        let problem = try problem(fixture.store().write(try Sample.batch(Sample.spans(0..<1))))
        #expect(problem.kind == "permission")
    }

    @Test func aReaderDoesNotBlockTheWriter() throws {
        let store = fixture.store()
        #expect(store.write(try Sample.batch(Sample.spans(0..<2))) == .written)
        let reader = try SQLiteConnection(path: fixture.path)
        try reader.execute("begin")
        #expect(try reader.integer("select count(*) from traces") == 2)
        #expect(store.write(try Sample.batch(Sample.spans(2..<4))) == .written)
        #expect(try reader.integer("select count(*) from traces") == 2)
        try reader.execute("commit")
        #expect(try reader.integer("select count(*) from traces") == 4)
    }

    @Test func aDeletedFileIsMadeAnew() throws {
        let store = fixture.store()
        #expect(store.write(try Sample.batch(Sample.spans(0..<2))) == .written)
        for suffix in ["", "-wal", "-shm"] { unlink(fixture.path + suffix) }
        #expect(store.write(try Sample.batch(Sample.spans(2..<5))) == .written)
        #expect(try count == "3")
        #expect(try fixture.value("select count(*) from resources") == "1")
    }

    @Test func aDamagedFileIsReportedAndReplacedOnceItIsMovedAway() throws {
        let store = fixture.store()
        #expect(store.write(try Sample.batch(Sample.spans(0..<2_000))) == .written)
        store.close()
        let file = try #require(fopen(fixture.path, "r+"))
        let noise = [UInt8](repeating: 0xA5, count: SQLiteLimits.pageBytes * 20)
        fseek(file, SQLiteLimits.pageBytes, SEEK_SET)
        #expect(fwrite(noise, 1, noise.count, file) == noise.count)
        fclose(file)
        let batch = try Sample.batch(Sample.spans(0..<3))
        #expect(try problem(store.write(batch)).kind == "corrupt")
        #expect(rename(fixture.path, fixture.path + ".old") == 0)
        for suffix in ["-wal", "-shm"] { unlink(fixture.path + suffix) }
        #expect(store.write(batch) == .written)
        #expect(try count == "3")
    }

    @Test func aMissingTableIsReportedWithItsName() throws {
        let store = fixture.store()
        #expect(store.write(try Sample.batch(Sample.spans(0..<2))) == .written)
        try fixture.execute("drop table traces")
        let problem = try problem(store.write(try Sample.batch(Sample.spans(2..<4))))
        #expect(problem.kind == "schema" && problem.description.contains("traces"))
    }

    @Test func rowsThatTheDatabaseRefusesAreLostAloneAndCounted() throws {
        let store = fixture.store()
        try store.open()
        try fixture.execute(
            """
            create trigger picky before insert on traces when new.span_id = '0100000000000003'
            begin select raise(abort, 'not this one'); end
            """)
        let outcome = store.write(try Sample.batch(Sample.spans(0..<10)))
        guard case .permanent(let problem, let lost, _) = outcome else {
            Issue.record("expected a loss, not \(outcome)")
            return
        }
        #expect(lost == 1 && problem.kind == "data")
        #expect(try count == "9")
    }

    @Test func spansOlderThanTheRetentionAreDeletedAndOthersNot() throws {
        let hour: UInt64 = 3_600_000_000_000
        let store = fixture.store { $0.retention = .seconds(3_600 * 24) }
        let old = Sample.spans(0..<5_000, start: Sample.received - 23 * hour)
        let young = Sample.spans(5_000..<5_010, start: Sample.received - 2 * hour)
        #expect(store.write(try Sample.batch(old + young)) == .written)
        let arrival = Int64(Sample.received / 1_000)
        try store.maintain(nowMicroseconds: arrival) { false }
        #expect(try count == "5010")
        try store.maintain(nowMicroseconds: arrival + Int64(2 * hour / 1_000)) { true }
        #expect(try count == "5010")
        try store.maintain(nowMicroseconds: arrival + Int64(2 * hour / 1_000)) { false }
        #expect(try count == "10")
        #expect(try fixture.value("select min(span_id) from traces") == "'0100000000001388'")
    }

    @Test func withoutARetentionNothingIsDeleted() throws {
        let store = fixture.store()
        #expect(store.write(try Sample.batch(Sample.spans(0..<10, start: 1_000_000_000))) == .written)
        try store.maintain(nowMicroseconds: Int64(Sample.received / 1_000)) { false }
        #expect(try count == "10")
    }

    @Test func theFileStaysBelowItsSizeByLosingTheOldestSpans() throws {
        let store = fixture.store { $0.maxSizeMiB = 2 }
        let padding = String(repeating: "x", count: 2_000)
        var number: UInt64 = 0
        for _ in 0..<40 {
            let spans = (number..<number + 100).map {
                Sample.span($0, start: Sample.start + $0 * 1_000, attributes: [("padding", .text(padding))])
            }
            number += 100
            #expect(store.write(try Sample.batch(spans)) == .written)
        }
        store.close()
        var status = stat()
        #expect(stat(fixture.path, &status) == 0)
        #expect(status.st_size <= 2 * 1_024 * 1_024 && status.st_size > 1_024 * 1_024)
        let kept = try #require(Int(try count ?? ""))
        #expect(kept > 300 && kept < 1_000)
        #expect(try fixture.value("select max(start_unix_nano) - min(start_unix_nano) from traces") == "\((kept - 1) * 1_000)")
        #expect(try fixture.value("select max(start_unix_nano) from traces") == "\(Sample.start + 3_999 * 1_000)")
    }

    @Test func aFileThatIsTooLargeAtStartIsCutDown() throws {
        let padding = String(repeating: "x", count: 2_000)
        let store = fixture.store()
        let spans = (0..<UInt64(4_000)).map { Sample.span($0, attributes: [("padding", .text(padding))]) }
        #expect(store.write(try Sample.batch(spans)) == .written)
        store.close()
        let small = fixture.store { $0.maxSizeMiB = 3 }
        try small.maintain(nowMicroseconds: Int64(Sample.received / 1_000)) { false }
        small.close()
        var status = stat()
        #expect(stat(fixture.path, &status) == 0)
        #expect(status.st_size <= 3 * 1_024 * 1_024)
        #expect(try fixture.value("select integrity_check from pragma_integrity_check") == "'ok'")
    }

    @Test func whatWasWrittenIsThereAfterTheProcessIsGone() throws {
        // The connection is left open, as by a killed process: another one reads what was committed.
        let store = fixture.store()
        #expect(store.write(try Sample.batch(Sample.spans(0..<100))) == .written)
        #expect(try count == "100")
        withExtendedLifetime(store) {}
        let next = fixture.store()
        #expect(next.write(try Sample.batch(Sample.spans(100..<200))) == .written)
        #expect(try count == "200")
    }
}
