import Configuration
import Pipeline
import Testing

@testable import Exporters

@Suite struct SQLStateTests {
    @Test(arguments: [
        "08006", "08P01", "25006", "40001", "40P01", "53100", "53300", "55P03", "57014", "57P01", "57P03", "XX000", "58030", "25P02",
    ])
    func thesePassByThemselves(state: String) {
        #expect(SQLStateClass(state) == .transient)
        #expect(!DatabaseError.server(sqlState: state, "x").needsPatience)
    }

    @Test(arguments: ["22021", "22P02", "22P05", "23502", "23505", "23514", "54000", "P0001"])
    func theseAreTheRowsFault(state: String) {
        #expect(SQLStateClass(state) == .data)
        #expect(DatabaseError.server(sqlState: state, "x").isDataError)
    }

    /// Not so a table that is missing, which the exporter makes again: 42P01, 3F000, 42703.
    @Test(arguments: ["28000", "28P01", "3D000", "42704", "42501", "0A000"])
    func theseAreConfigurationAndRetriedSlowly(state: String) {
        #expect(SQLStateClass(state) == .configuration)
        #expect(DatabaseError.server(sqlState: state, "x").needsPatience)
    }

    @Test func problemsHaveStableKinds() {
        let kinds = [
            "53100": "disk", "53300": "too_many_connections", "25006": "read_only", "08006": "connection", "57P01": "server_stopping",
            "40001": "database", "28P01": "authentication", "3D000": "missing_database", "42P01": "missing_table", "42501": "permission",
            "42704": "schema", "55P03": "lock_timeout", "23514": "data",
        ]
        for (state, kind) in kinds {
            let problem = DatabaseError.server(sqlState: state, "x").problem
            #expect(problem.kind == kind)
            #expect(problem.description.hasPrefix("x (SQLSTATE \(state))"))
        }
    }
}

@Suite struct PendingBatchTests {
    /// Works through a batch whose rows named in `bad` are refused; what was written, in order.
    private func run(_ pending: inout PendingBatch, bad: Set<UInt64>) -> [UInt64] {
        var written: [UInt64] = []
        while let part = pending.next {
            var ids: [UInt64] = []
            part.batch.forEach { ids.append($0.span.spanID.word) }
            if ids.contains(where: bad.contains) {
                pending.partRefused(DatabaseError.server(sqlState: "23514", "refused"))
            } else {
                written += ids
                pending.partWritten()
            }
        }
        return written
    }

    @Test(arguments: [[], [1], [100], [50], [1, 2, 3], [7, 50, 93, 100], Array(1...100)] as [[UInt64]])
    func halvingFindsExactlyTheBadRowsAndKeepsTheOrder(bad: [UInt64]) throws {
        var pending = PendingBatch(try Model.batch(Model.spans(100)))
        #expect(run(&pending, bad: Set(bad)) == (1...100).filter { !bad.contains($0) })
        #expect(pending.refused.count == bad.count)
    }

    @Test func aBatchIsKnownAgainByItsMemoryAndNotByItsContent() throws {
        let batch = try Model.batch(Model.spans(10))
        let pending = PendingBatch(batch)
        #expect(pending.isRest(of: batch))
        #expect(!pending.isRest(of: try Model.batch(Model.spans(10))))
        var rest = batch
        _ = rest.removeFirst(1)
        #expect(!pending.isRest(of: rest))
    }

    @Test func theRouteOfARefusedPartIsInheritedByItsHalves() throws {
        var pending = PendingBatch(try Model.batch(Model.spans(4)))
        pending.partSettled(.unknown)
        pending.partRefused(DatabaseError.server(sqlState: "23514", "refused"))
        #expect(pending.next?.route == .onlyMissing)
        pending.partWritten()
        #expect(pending.next?.route == .onlyMissing)
    }
}

@Suite struct InDoubtTests {
    @Test func aStatusIsBelievedOnlyFromTheServerThatRanTheTransaction() {
        func judge(_ status: String?, _ ranOn: String?, _ asked: String?) -> InDoubt.Sight {
            InDoubt.judge(status: status, ranOn: ranOn, asked: asked)
        }
        #expect(judge("committed", "1/1", "1/1") == .settled(.committed))
        #expect(judge("aborted", "1/1", "1/1") == .settled(.aborted))
        #expect(judge("in progress", "1/1", "1/1") == .inProgress)
        #expect(judge(nil, "1/1", "1/1") == .settled(.unknown))
        for (ranOn, asked) in [("1/1", "1/2"), ("1/1", nil), (nil, "1/1"), (nil, nil)] as [(String?, String?)] {
            #expect(judge("committed", ranOn, asked) == .settled(.unknown))
            #expect(judge("aborted", ranOn, asked) == .settled(.unknown))
            #expect(judge("in progress", ranOn, asked) == .inProgress)
        }
    }
}

@Suite struct PendingRefreshTests {
    private let now: Int64 = 1_800_000_000_000_000
    private let hour: Int64 = 3_600_000_000
    private let functions = SQLIdentifier(name: "public")

    private func calls(_ ages: [(from: Int64, to: Int64)], retention: Duration = .seconds(90 * 86_400)) -> [String] {
        var config = TimescaleDBConfig(connection: ConnectionOptions())
        config.retention = retention
        var pending = PendingRefreshes()
        for age in ages {
            pending.add(from: now - age.from, to: now - age.to, now: now, retention: retention, aggregates: Aggregate.allCases)
        }
        return pending.calls(functions: functions, config, now: now)
    }

    @Test func recentRowsAreLeftToThePolicies() {
        #expect(calls([(hour, 0)]) == [])
    }

    @Test func lateRowsRefreshTheAggregatesWhosePolicyLooksLessFarBack() {
        // 2027-01-15 08:00:00 is now.
        #expect(
            calls([(3 * hour, 3 * hour - 1)]) == [
                #"call "public".refresh_continuous_aggregate('"public"."# + "traces_1min'::regclass, "
                    + "timestamptz '2027-01-15 05:00:00.000000+00', timestamptz '2027-01-15 05:01:00.000000+00')"
            ])
        #expect(calls([(3 * 24 * hour, 3 * 24 * hour)]).count == 2)
        #expect(calls([(40 * 24 * hour, 40 * 24 * hour)]).count == 3)
    }

    @Test func rangesAreMergedAndEndWhereThePolicyBegins() {
        let merged = calls([(5 * hour, 4 * hour), (4 * hour, 0), (6 * hour, 6 * hour)])
        #expect(merged.count == 1)
        #expect(merged[0].contains("'2027-01-15 02:00:00.000000+00'") && merged[0].contains("'2027-01-15 06:03:00.000000+00'"))
    }

    @Test func nothingOlderThanRetentionIsTouched() {
        let calls = calls([(80 * 24 * hour, 10 * 24 * hour)], retention: .seconds(60 * 86_400))
        #expect(calls.count == 3)
        // 60 days before now is 2026-11-16 08:00: the next whole bucket is the earliest.
        #expect(calls[0].contains("timestamptz '2026-11-16 08:01:00.000000+00', "))
        #expect(calls[2].contains("timestamptz '2026-11-17 00:00:00.000000+00', "))
        #expect(self.calls([(80 * 24 * hour, 70 * 24 * hour)], retention: .seconds(60 * 86_400)) == [])
    }

    @Test func withoutRetentionAnyAgeIsRefreshed() {
        #expect(calls([(9_000 * 24 * hour, 9_000 * 24 * hour)], retention: .zero).count == 3)
    }

    @Test func policiesNeverLookBackFurtherThanRetention() {
        #expect(Aggregate.day.startOffset(retention: .seconds(90 * 86_400)) == .seconds(30 * 86_400))
        #expect(Aggregate.day.startOffset(retention: .seconds(7 * 86_400)) == .seconds(7 * 86_400))
        #expect(Aggregate.day.startOffset(retention: .seconds(86_400)) == .seconds(3 * 86_400))
        #expect(Aggregate.minute.startOffset(retention: .zero) == .seconds(7_200))
    }
}

@Suite struct UTCTimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01 00:00:00.000000+00"), (-1, "1969-12-31 23:59:59.999999+00"),
            (951_782_399_999_999, "2000-02-28 23:59:59.999999+00"), (951_782_400_000_000, "2000-02-29 00:00:00.000000+00"),
            (1_767_268_800_000_001, "2026-01-01 12:00:00.000001+00"), (4_107_542_400_000_000, "2100-03-01 00:00:00.000000+00"),
            (18_446_744_073_709_551, "2554-07-21 23:34:33.709551+00"),
        ] as [(Int64, String)])
    func timestampsAreExact(microseconds: Int64, text: String) {
        #expect(UTCTimestamp.text(microseconds) == text)
    }
}

@Suite struct SQLIdentifierTests {
    @Test func namesAreQuoted() {
        #expect("\(SQLIdentifier(name: "a\"b"))" == "\"a\"\"b\"")
        #expect(SQLIdentifier(name: "it's").literal == "'it''s'")
    }
}

@Suite struct TimescaleDBConfigTests {
    private func config(_ yaml: String) throws -> (config: TimescaleDBConfig, problems: [String]) {
        let section = try ConfigSection(yaml: yaml)
        let config = TimescaleDBConfig(from: section)
        return (config, section.problemMessages)
    }

    @Test func defaultsAreTheContracts() throws {
        let (config, problems) = try config("dsn: postgresql://localhost/telemetry")
        #expect(problems == [])
        #expect(config.schema.name == "public" && config.autoMigrate && config.indexes == .standard)
        #expect(config.chunkInterval == .seconds(86_400) && config.compressAfter == .seconds(7 * 86_400))
        #expect(config.retention == .seconds(90 * 86_400) && config.batchRows == 5_000 && config.flushInterval == .milliseconds(200))
        #expect(config.queue.numConsumers == 4)
        #expect(config.timestampWindow == TimestampWindow(past: .seconds(90 * 86_400), future: .seconds(3_600)))
    }

    @Test func everyKeyIsRead() throws {
        let (config, problems) = try config(
            """
            host: db.example
            port: 6543
            database: t
            user: u
            password: p
            sslmode: verify-full
            connect_timeout: 3s
            schema: telemetry
            auto_migrate: false
            indexes: minimal
            chunk_interval: 12h
            compress_after: 0
            retention: 720h
            space_partitions: 2
            timestamp_window: {past: 48h, future: 5m}
            num_consumers: 7
            batch_rows: 100
            flush_interval: 1s
            sending_queue: {queue_size: 5}
            retry_on_failure: {initial_interval: 1s}
            """)
        #expect(problems == [])
        let parameters = config.connection.parameters.map { "\($0.key)=\($0.value)" }
        #expect(Set(parameters) == ["host=db.example", "port=6543", "dbname=t", "user=u", "password=p", "sslmode=verify-full"])
        #expect(config.connection.connectTimeout == .seconds(3))
        #expect(config.schema.name == "telemetry" && !config.autoMigrate && config.indexes == .minimal && config.spacePartitions == 2)
        #expect(
            config.compressAfter == .zero
                && config.queue
                    == {
                        var queue = ExportQueueConfig(numConsumers: 7); queue.queueSize = 5; return queue
                    }()
        )
        #expect(config.timestampWindow == TimestampWindow(past: .seconds(48 * 3_600), future: .seconds(300)))
        #expect(config.retry.initialInterval == .seconds(1))
    }

    @Test(arguments: [
        ("{}", "dsn or host is needed"), ("dsn: 'postgres://u:geheim@h/x?nonsense=1'", "no PostgreSQL connection string"),
        ("{dsn: 'postgresql://h/x', host: h}", "either dsn or host"), ("{host: h, schema: pg_x}", "schema name"),
        ("{host: h, num_consumers: 21}", "from 1 to 20"), ("{host: h, sending_queue: {num_consumers: 50}}", "at most 20 consumers"),
        ("{host: h, chunk_interval: 1m}", "from 1h"), ("{host: h, retention: 2h}", "chunk_interval"),
        ("{host: h, compress_after: 9000h}", "shorter than retention"), ("{host: h, sslmode: on}", "sslmode"),
        ("{host: h, circuit_braker: {}}", "unknown key"), ("{host: h, schema: ''}", "schema name"),
    ])
    func mistakesAreNamedAndNeverQuoteThePassword(yaml: String, message: String) throws {
        let problems = try config(yaml).problems
        #expect(problems.contains { $0.contains(message) }, "\(problems)")
        #expect(!problems.contains { $0.contains("geheim") })
    }

    @Test func theDSNsConnectTimeoutCounts() throws {
        #expect(try config("dsn: 'postgresql://h/x?connect_timeout=4'").config.connection.connectTimeout == .seconds(4))
    }
}
