import Configuration
import Glibc
import Pipeline
import SelfTelemetry
import Testing
@testable import Exporters

@Suite struct SQLiteExporterTests {
    private let fixture: SQLiteFixture
    private let registry = MetricRegistry()

    init() throws {
        fixture = try SQLiteFixture()
    }

    private func exporter(_ config: SQLiteConfig? = nil) -> SQLiteExporter {
        SQLiteExporter(id: "sqlite", config: config ?? fixture.config, registry: registry, logger: SQLiteFixture.quiet)
    }

    private var soon: ContinuousClock.Instant { .now + .seconds(30) }

    @Test func whatIsConsumedIsInTheFileAfterShutdownAlsoAcrossRestarts() async throws {
        var number: UInt64 = 0
        for _ in 0..<3 {
            let exporter = exporter()
            try await exporter.start()
            #expect(exporter.health == .ok)
            for _ in 0..<20 {
                #expect(exporter.consume(try Sample.batch(Sample.spans(number..<number + 17))) == .accepted)
                number += 17
            }
            await exporter.shutdown(deadline: soon)
        }
        #expect(try fixture.value("select count(*) from traces") == "\(number)")
        #expect(try fixture.value("select count(distinct span_id) from traces") == "\(number)")
        #expect(registry.prometheusText().contains("otelcol_exporter_sent_spans_total{exporter=\"sqlite\"} \(number)\n"))
    }

    @Test func aSpanIsThereWithoutAShutdown() async throws {
        let exporter = exporter()
        try await exporter.start()
        #expect(exporter.consume(try Sample.batch(Sample.spans(0..<1))) == .accepted)
        let deadline = soon
        while try fixture.value("select count(*) from traces") != "1", .now < deadline { try await Task.sleep(for: .milliseconds(5)) }
        #expect(try fixture.value("select count(*) from traces") == "1")
        await exporter.shutdown(deadline: soon)
    }

    @Test func aRequestOfMoreSpansThanATransactionHoldsIsWrittenWhole() async throws {
        let exporter = exporter()
        try await exporter.start()
        let spans = UInt64(SQLiteLimits.batchRowsMax * 2 + 500)
        #expect(exporter.consume(try Sample.batch(Sample.spans(0..<spans))) == .accepted)
        await exporter.shutdown(deadline: soon)
        #expect(try fixture.value("select count(distinct span_id) from traces") == "\(spans)")
    }

    @Test func aLockThatPassesLosesNothing() async throws {
        let exporter = exporter()
        try await exporter.start()
        let other = try SQLiteConnection(path: fixture.path)
        try other.execute("begin immediate")
        for number in 0..<5 as Range<UInt64> {
            #expect(exporter.consume(try Sample.batch(Sample.spans(number..<number + 1))) == .accepted)
        }
        try other.execute("rollback")
        await exporter.shutdown(deadline: soon)
        #expect(try fixture.value("select count(*) from traces") == "5")
    }

    @Test func shutdownEndsAtItsDeadlineWhenTheDatabaseStaysLockedAndCountsTheLoss() async throws {
        let exporter = exporter()
        try await exporter.start()
        let other = try SQLiteConnection(path: fixture.path)
        try other.execute("begin immediate")
        #expect(exporter.consume(try Sample.batch(Sample.spans(0..<5))) == .accepted)
        let start = ContinuousClock.now
        await exporter.shutdown(deadline: start + .milliseconds(50))
        #expect(ContinuousClock.now - start < .seconds(15))
        #expect(registry.prometheusText().contains("otelcol_exporter_send_failed_spans_total{exporter=\"sqlite\"} 5\n"))
        try other.execute("rollback")
        #expect(try fixture.value("select count(*) from traces") == "0")
    }

    @Test func startFailsWithTheReasonWhenTheFileCannotBeUsed() async throws {
        let exporter = exporter(SQLiteConfig(path: "/proc/nowhere/telemetry.db"))
        let problem = await #expect(throws: ExportProblem.self) { try await exporter.start() }
        #expect(problem?.description.contains("/proc/nowhere") == true)
        await exporter.shutdown(deadline: soon)
    }

    @Test func aDatabaseThatIsLockedAtStartIsNoFailure() async throws {
        let connection = try SQLiteConnection(path: fixture.directory + "/locked.db")
        try connection.execute("begin exclusive; create table x (y)")
        let exporter = exporter(SQLiteConfig(path: fixture.directory + "/locked.db"))
        try await exporter.start()
        guard case .degraded(let reason) = exporter.health else {
            Issue.record("health should tell of the lock")
            return
        }
        #expect(reason.contains("locked"))
        #expect(exporter.consume(try Sample.batch(Sample.spans(0..<3))) == .accepted)
        try connection.execute("commit")
        await exporter.shutdown(deadline: soon)
        #expect(try connection.integer("select count(*) from traces") == 3)
    }

    @Test func migrateMakesTheFileAndSaysSo() throws {
        let text = try SQLiteExporter.migrate(config: fixture.config, logger: SQLiteFixture.quiet)
        #expect(text == "\(fixture.path): schema is at version \(SQLiteSchema.currentVersion)")
        #expect(try fixture.value("select count(*) from traces") == "0")
    }

    @Test func theKeysOfTheContractAreRead() throws {
        let section = try ConfigSection(yaml: "{path: /tmp/x.db, retention: 24h, max_size_mib: 512}")
        let config = SQLiteConfig(from: section)
        #expect(section.problemMessages == [])
        #expect(config.path == "/tmp/x.db" && config.retention == .seconds(86_400) && config.maxSizeMiB == 512)
        #expect(SQLiteConfig(from: try ConfigSection(yaml: "retention: 0")).retention == nil)
        let empty = SQLiteConfig(from: try ConfigSection(yaml: ""))
        #expect(empty == SQLiteConfig() && empty.path == "./data/telemetry.db" && empty.retention == nil && empty.maxSizeMiB == nil)
    }

    @Test(arguments: ["path: ''", "path: ':memory:'", "retention: 5s", "max_size_mib: 0", "sync: full"])
    func whatMakesNoSenseIsAProblem(yaml: String) throws {
        let section = try ConfigSection(yaml: yaml)
        _ = SQLiteConfig(from: section)
        #expect(section.problemMessages.count == 1)
    }
}
