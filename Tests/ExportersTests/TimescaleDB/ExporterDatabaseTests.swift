import Pipeline
import SelfTelemetry
import Testing

@testable import Exporters

/// The exporter as a whole, from `consume` to the table.
@Suite(.serialized, .needsPostgreSQL)
struct ExporterDatabaseTests {
    private func exporter(_ config: TimescaleDBConfig, _ registry: MetricRegistry = MetricRegistry()) -> TimescaleDBExporter {
        TimescaleDBExporter(id: "timescaledb", config: config, registry: registry, logger: Silent.logger)
    }

    private func quick(_ config: TimescaleDBConfig) -> TimescaleDBConfig {
        var config = config
        config.retry.initialInterval = .milliseconds(20)
        config.retry.maxInterval = .milliseconds(20)
        config.flushInterval = .milliseconds(10)
        return config
    }

    @Test func aFreshDatabaseIsMigratedAndEverySpanArrivesOnce() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            let registry = MetricRegistry()
            let exporter = exporter(quick(database.config()), registry)
            try await exporter.start()
            for index in 0..<50 { #expect(exporter.consume(try Model.batch(Model.spans(100, first: index * 100))) == .accepted) }
            await exporter.shutdown(deadline: .now + .seconds(20))
            #expect(try database.count("traces") == 5_000)
            #expect(try database.value("select count(distinct span_id) from traces") == "5000")
            #expect(try database.count("resources") == 1)
            #expect(exporter.health == .ok)
            #expect(registry.prometheusText().contains(#"otelcol_exporter_sent_spans_total{exporter="timescaledb"} 5000"#))
        }
    }

    @Test func aDatabaseThatIsDownAtStartIsWaitedForWithoutLoss() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            let port = try #require(Int(try database.value("select inet_server_port()") ?? ""))
            let proxy = try FaultProxy(serverPort: port)
            defer { proxy.stop() }
            proxy.set(.refuse)
            let exporter = exporter(quick(database.config(database.options(proxy.parameters))))
            try await exporter.start()
            #expect(exporter.consume(try Model.batch(Model.spans(100))) == .accepted)
            #expect(
                try await eventually {
                    if case .degraded(let reason) = exporter.health {
                        reason.contains("server closed the connection") || reason.contains("refused")
                    } else {
                        false
                    }
                }, "\(exporter.health)")
            proxy.set(nil)
            #expect(try await eventually { exporter.health == .ok && (try? database.count("traces")) == 100 })
            await exporter.shutdown(deadline: .now + .seconds(20))
            #expect(try database.count("traces") == 100)
        }
    }

    @Test func withoutAutoMigrateAnEmptyDatabaseIsNotTouchedAndHealthSaysWhatToDo() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            var config = quick(database.config())
            config.autoMigrate = false
            let exporter = exporter(config)
            try await exporter.start()
            #expect(
                try await eventually {
                    if case .degraded(let reason) = exporter.health { reason.contains("migrate") } else { false }
                })
            #expect(try database.value("select to_regclass('traces')") == nil)
            try database.migrate()
            #expect(try await eventually { exporter.health == .ok })
            await exporter.shutdown(deadline: .now + .seconds(20))
        }
    }

    @Test func shutdownEndsInTimeWhenTheDatabaseHangs() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let exporter = exporter(quick(database.config()))
            try await exporter.start()
            #expect(try await eventually { exporter.health == .ok })
            try database.connection.query("begin; lock table traces in access exclusive mode")
            #expect(exporter.consume(try Model.batch(Model.spans(10))) == .accepted)
            let observer = try Connection(database.options, interrupter: Interrupter())
            #expect(try await eventually { try !observer.query("select 1 from pg_stat_activity where wait_event_type = 'Lock'").isEmpty })
            let start = ContinuousClock.now
            await exporter.shutdown(deadline: .now + .milliseconds(300))
            #expect(ContinuousClock.now - start < .seconds(10))
            try database.connection.query("rollback")
            #expect(try database.count("traces") == 0)
        }
    }

    @Test func breakingConnectionsUnderLoadLoseAndDoubleNothing() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let port = try #require(Int(try database.value("select inet_server_port()") ?? ""))
            let proxy = try FaultProxy(serverPort: port)
            defer { proxy.stop() }
            var config = quick(database.config(database.options(proxy.parameters)))
            config.batchRows = 100
            let exporter = exporter(config)
            try await exporter.start()
            let faults: [FaultProxy.Fault] = [.loseCommitAnswer, .loseCommit, .cutAfter(5_000), .loseCommitAnswer, .cutAfter(40_000)]
            var batches = 0
            for round in 0..<15 {
                let hits = proxy.hitCount
                proxy.set(faults[round % faults.count])
                // Spans keep coming until something was broken.
                let isHit = try await eventually {
                    if exporter.admission == .accepted {
                        let batch = try Model.batch(Model.spans(100, first: batches * 100))
                        #expect(exporter.consume(batch) == .accepted)
                        batches += 1
                    }
                    return proxy.hitCount > hits
                }
                #expect(isHit)
            }
            proxy.set(nil)
            await exporter.shutdown(deadline: .now + .seconds(30))
            #expect(
                try database.value("select count(*) || ' ' || count(distinct span_id) from traces") == "\(batches * 100) \(batches * 100)")
        }
    }
}
