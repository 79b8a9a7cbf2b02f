import Pipeline
import SelfTelemetry
import Testing

@testable import Exporters

/// A database that refuses for its state or its configuration: health says what is wrong, the failure is counted by its kind, nothing is
/// lost, and the exporter goes on by itself once somebody has put it right.
@Suite(.serialized, .needsPostgreSQL)
struct RefusingDatabaseTests {
    private func quick(_ config: TimescaleDBConfig) -> TimescaleDBConfig {
        var config = config
        config.retry.initialInterval = .milliseconds(20)
        config.retry.maxInterval = .milliseconds(50)
        config.circuitBreaker.openFor = .milliseconds(50)
        config.flushInterval = .milliseconds(10)
        return config
    }

    /// Runs an exporter that works, breaks the database, expects `kind` and the words in health, mends it, expects all spans once.
    ///
    /// - Parameter disconnect: ends the exporter's connections after breaking, so that it has to connect anew.
    private func exporterRecovers(
        kind: String, says words: String?, options: [(key: String, value: String)] = [], disconnect: Bool = true,
        breaking: (TestDatabase, Connection) throws -> Void, mending: (TestDatabase, Connection) async throws -> Void
    ) async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            // On the server's own database, since this one may be out of reach.
            let operating = try Connection(ConnectionOptions(dsn: TestServer.url), interrupter: Interrupter())
            try database.migrate()
            try database.connection.query("create role \(database.name) login superuser password 'right'")
            defer { _ = try? operating.query("drop role if exists \(database.name)") }
            let registry = MetricRegistry()
            let own = database.options([("user", database.name), ("password", "right")] + options)
            let exporter = TimescaleDBExporter(
                id: "timescaledb", config: quick(database.config(own)), resources: ExporterResources(isDurable: true), registry: registry,
                logger: Silent.logger)
            try await exporter.start()
            #expect(exporter.consume(try Model.batch(Model.spans(10))) == .accepted)
            #expect(try await eventually { try database.count("traces") == 10 })

            try breaking(database, operating)
            let disconnecting = "select pg_terminate_backend(pid) from pg_stat_activity where usename = '\(database.name)'"
            if disconnect { try operating.query(disconnecting) }
            #expect(exporter.consume(try Model.batch(Model.spans(10, first: 10))) == .accepted)
            let label = #"collector_exporter_failures_total{exporter="timescaledb",kind="\#(kind)"}"#
            #expect(try await eventually { registry.prometheusText().contains(label) }, "\(exporter.health)")
            // Without words to look for it may be mended already.
            if let words {
                #expect(
                    try await eventually { if case .degraded(let reason) = exporter.health { reason.contains(words) } else { false } },
                    "\(exporter.health)")
            }

            try await mending(database, operating)
            #expect(try await eventually { exporter.health == .ok }, "\(exporter.health)")
            await exporter.shutdown(deadline: .now + .seconds(20))
            let after = try Connection(database.options, interrupter: Interrupter())
            #expect(try after.query("select count(distinct span_id) = count(*) and count(*) >= 10 from traces").first?[0] == "t")
            #expect(try after.query("select count(*) from traces where span_id > '\\x000000000000000a'").first?[0] == "10")
        }
    }

    @Test func aDatabaseThatWasRenamedIsWaitedFor() async throws {
        try await exporterRecovers(
            kind: "missing_database", says: "create the database, or correct the dsn",
            breaking: { database, operating in
                try operating.query(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = '\(database.name)'")
                while true {
                    do {
                        try operating.query("alter database \(database.name) rename to \(database.name)_away")
                        break
                    } catch {
                        // The exporter is quicker.
                        try operating.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = '\(database.name)'")
                    }
                }
            },
            mending: { database, operating in try operating.query("alter database \(database.name)_away rename to \(database.name)") })
    }

    @Test func tablesThatWereDroppedAreMadeAgain() async throws {
        try await exporterRecovers(
            kind: "missing_table", says: nil, disconnect: false,
            breaking: { database, _ in
                try database.connection.query(
                    "create table kept as select * from traces; drop table traces cascade; drop table resources cascade")
            },
            mending: { database, _ in
                #expect(try await eventually { try database.value("select to_regclass('traces_1hour')") != nil })
                try database.connection.query("insert into traces select * from kept")
            })
    }

    @Test func aRoleWithoutRightsIsTriedAgainUntilItHasThem() async throws {
        try await exporterRecovers(
            kind: "permission", says: "grant the role",
            breaking: { database, operating in
                try operating.query("alter role \(database.name) nosuperuser")
            },
            mending: { database, operating in try operating.query("alter role \(database.name) superuser") })
    }

    @Test func aReadOnlyDatabaseIsWaitedFor() async throws {
        try await exporterRecovers(
            kind: "read_only", says: "waiting for a server that takes writes",
            breaking: { database, operating in
                try operating.query("alter role \(database.name) set default_transaction_read_only = on")
            },
            mending: { database, operating in try operating.query("alter role \(database.name) reset default_transaction_read_only") })
    }

    @Test func tooManyConnectionsPassWhenOthersHaveGone() async throws {
        try await exporterRecovers(
            kind: "too_many_connections", says: "max_connections",
            breaking: { database, operating in
                try operating.query("alter role \(database.name) nosuperuser connection limit 0")
            },
            mending: { database, operating in try operating.query("alter role \(database.name) superuser connection limit -1") })
    }

    @Test func aStoppedRoleIsAnAuthenticationProblem() async throws {
        try await exporterRecovers(
            kind: "authentication", says: "check user, password",
            breaking: { database, operating in try operating.query("alter role \(database.name) nologin") },
            mending: { database, operating in try operating.query("alter role \(database.name) login") })
    }

    @Test func aNewerSchemaIsRefusedAtStartAndTakenOnceItFits() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let newer = Migration.latest + 1
            try database.connection.query("insert into collector_schema_migrations (version, name) values (\(newer), 'future')")
            let exporter = TimescaleDBExporter(
                id: "timescaledb", config: quick(database.config()), registry: MetricRegistry(), logger: Silent.logger)
            try await exporter.start()
            #expect(exporter.consume(try Model.batch(Model.spans(10))) == .accepted)
            #expect(
                try await eventually {
                    if case .degraded(let reason) = exporter.health { reason.contains("update the collector") } else { false }
                })
            #expect(try database.count("traces") == 0)
            try database.connection.query("delete from collector_schema_migrations where version = \(newer)")
            #expect(try await eventually { try database.count("traces") == 10 })
            #expect(exporter.health == .ok)
            await exporter.shutdown(deadline: .now + .seconds(20))
        }
    }

    @Test func whatIsNotWrittenAtShutdownStaysInTheLog() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let store = ReplayLog()
            let first = try await store.run([Model.request(Model.spans(25))], received: Model.noon)
            await first.log.close(deadline: .now + .seconds(20))
            let registry = MetricRegistry()
            let down = quick(database.config(database.options([("host", "127.0.0.1"), ("port", "1")])))
            var replay: (batches: [SpanBatch], log: WriteAheadLog)? = try await store.replay()
            let exporter = TimescaleDBExporter(id: "timescaledb", config: down, registry: registry, logger: Silent.logger)
            try await exporter.start()
            for batch in replay?.batches ?? [] { #expect(exporter.consume(batch) == .accepted) }
            await exporter.shutdown(deadline: .now + .milliseconds(50))
            #expect(registry.prometheusText().contains(#"otelcol_exporter_send_failed_spans_total{exporter="timescaledb"} 0"#))
            await replay?.log.close(deadline: .now + .seconds(20))
            replay = nil
            let again = try await store.replay()
            #expect(again.batches.reduce(0) { $0 + $1.itemCount } == 25)
            await again.log.close(deadline: .now + .seconds(20))
        }
    }
}
