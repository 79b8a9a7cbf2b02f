import Pipeline
import Testing

@testable import Exporters

/// The schema in a real PostgreSQL. Where the server has TimescaleDB these run on hypertables, else on ordinary tables.
@Suite(.serialized, .needsPostgreSQL)
struct MigrationDatabaseTests {
    /// Name, type, not null: the database contract.
    private static let contract = [
        "ts|timestamp with time zone|NO", "trace_id|uuid|NO", "span_id|bytea|NO", "parent_span_id|bytea|YES", "project_id|text|NO",
        "service_name|text|NO", "name|text|YES", "kind|text|YES", "status_code|text|YES", "status_message|text|YES",
        "duration_ms|double precision|NO", "provider|text|YES", "model|text|YES", "operation|text|YES", "user_id|text|YES",
        "session_id|text|YES", "prompt_tokens|bigint|YES", "completion_tokens|bigint|YES", "total_tokens|bigint|YES",
        "cached_tokens|bigint|YES", "cache_write_tokens|bigint|YES", "reasoning_tokens|bigint|YES",
        "prompt_cost_usd|double precision|YES", "completion_cost_usd|double precision|YES", "total_cost_usd|double precision|YES",
        "ttft_ms|double precision|YES", "finish_reason|text|YES", "input|text|YES", "output|text|YES",
        "adjusted_count|double precision|NO", "sampling_reason|text|YES", "resource_id|bigint|NO", "scope_name|text|YES",
        "scope_version|text|YES", "attributes|jsonb|NO", "events|jsonb|YES", "links|jsonb|YES", "trace_state|text|YES",
        "flags|integer|YES", "dropped_attributes|integer|YES", "dropped_events|integer|YES", "dropped_links|integer|YES",
        "start_unix_nano|bigint|YES", "duration_nano|bigint|YES",
    ]

    private func columns(_ table: String, _ database: TestDatabase) throws -> [String] {
        try database.connection.query(
            """
            select column_name || '|' || data_type || '|' || is_nullable from information_schema.columns
            where table_schema = 'public' and table_name = '\(table)' order by ordinal_position
            """
        ).compactMap { $0[0] }
    }

    @Test func tablesHaveTheContractsColumns() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            #expect(try columns("traces", database) == Self.contract)
            #expect(
                try columns("resources", database) == [
                    "resource_id|bigint|NO", "service_name|text|YES", "attributes|jsonb|YES", "schema_url|text|YES",
                    "first_seen|timestamp with time zone|YES",
                ])
            #expect(Set(CopyEncoder.columns) == Set(Self.contract.compactMap { $0.split(separator: "|").first.map(String.init) }))
            let lz4 = try database.connection.query(
                "select attname from pg_attribute where attrelid = 'traces'::regclass and attcompression = 'l' order by 1")
            #expect(lz4.map { $0[0] } == ["attributes", "input", "output"])
        }
    }

    @Test func viewsAndAggregatesHaveTheContractsColumns() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            func names(_ view: String) throws -> [String] {
                try columns(view, database).compactMap { $0.split(separator: "|").first.map(String.init) }
            }
            for aggregate in Aggregate.allCases {
                #expect(
                    try names(aggregate.rawValue) == [
                        "bucket", "project_id", "service_name", "provider", "model", "trace_count", "sampled_count", "error_count",
                        "prompt_tokens", "completion_tokens", "total_tokens", "total_cost_usd", "avg_duration_ms", "min_duration_ms",
                        "max_duration_ms", "duration_histogram",
                    ])
            }
            #expect(
                try names("llm_events") == [
                    "timestamp", "tenant_id", "event_id", "model_name", "provider", "latency_ms", "tokens_total", "prompt_tokens",
                    "completion_tokens", "cost_usd", "status_code", "user_id", "session_id",
                ])
            #expect(
                try names("llm_events_hourly")
                    == ["hour", "tenant_id", "model_name", "event_count", "avg_latency", "max_latency", "total_tokens"])
            let traces = Set(Self.contract.compactMap { $0.split(separator: "|").first.map(String.init) })
            #expect(Set(try names("spans")).isSuperset(of: traces.union(["trace_uuid", "resource_attributes"])))
        }
    }

    @Test(arguments: TimescaleDBConfig.Indexes.allCases)
    func indexesAreThoseAskedFor(indexes: TimescaleDBConfig.Indexes) throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate { $0.indexes = indexes }
            let minimal = ["idx_traces_project_ts", "idx_traces_trace", "idx_traces_ts"]
            let partial = ["cost", "duration", "model", "provider", "session", "status", "user"].map { "idx_traces_\($0)" }
            let wanted: [String] =
                switch indexes {
                case .standard: minimal + partial
                case .minimal: minimal
                case .none: []
                }
            let rows = try database.connection.query(
                "select indexname, indexdef from pg_indexes where schemaname = 'public' and tablename = 'traces'")
            #expect(Set(rows.compactMap { $0[0] }) == Set(wanted))
            for row in rows where partial.contains(row[0] ?? "") { #expect(row[1]?.contains(" WHERE ") == true) }
            #expect(rows.allSatisfy { $0[1]?.contains("USING btree") == true })
        }
    }

    @Test func migratingTwiceChangesNothing() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            let first = try database.migrate()
            #expect(first.versionBefore == 0 && first.versionAfter == Migration.latest && first.applied.count == Migration.latest)
            let second = try database.migrate()
            #expect(second.versionBefore == Migration.latest && second.applied.isEmpty)
            #expect(try database.count("collector_schema_migrations") == Migration.latest)
        }
    }

    @Test func everyStatementMayBeRepeated() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            try database.connection.query("delete from collector_schema_migrations")
            #expect(try database.migrate().applied.count == Migration.latest)
        }
    }

    @Test func tenCollectorsMayStartAtOnce() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            let config = database.config()
            let reports = Collected<String>()
            let threads = (0..<10).map { _ in
                BlockingThread {
                    do throws(ExportProblem) {
                        reports.add("\(try TimescaleDBExporter.migrate(config: config, logger: Silent.logger).applied.count)")
                    } catch {
                        reports.add("\(error)")
                    }
                }
            }
            for thread in threads { thread.join() }
            // Whoever applies a step says so; nobody fails.
            #expect(reports.all.compactMap { Int($0) }.reduce(0, +) == Migration.latest, "\(reports.all)")
            #expect(reports.all.count == 10 && reports.all.allSatisfy { Int($0) != nil }, "\(reports.all)")
            #expect(try database.count("collector_schema_migrations") == Migration.latest)
        }
    }

    @Test func aNewerSchemaIsRefusedWithAClearMessage() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            try database.connection.query("insert into collector_schema_migrations (version, name) values (99, 'future')")
            #expect {
                try database.migrate()
            } throws: { error in
                (error as? ExportProblem)?.description.contains("version 99") == true
            }
        }
    }

    @Test func aServerThatIsNotThereIsNamed() throws {
        var config = TimescaleDBConfig(connection: ConnectionOptions(dsn: "postgresql://127.0.0.1:1/x"))
        config.connection.connectTimeout = .seconds(2)
        #expect {
            _ = try TimescaleDBExporter.migrate(config: config, logger: Silent.logger)
        } throws: { error in
            (error as? ExportProblem)?.kind == "connection"
        }
    }

    @Test func aDatabaseThatDoesNotStoreUTF8IsRefused() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            let name = database.name + "_latin"
            try database.connection.query("create database \(name) template template0 encoding 'LATIN1' locale 'C'")
            defer { _ = try? database.connection.query("drop database \(name) with (force)") }
            #expect {
                _ = try TimescaleDBExporter.migrate(config: database.config(database.options([("dbname", name)])), logger: Silent.logger)
            } throws: { error in
                (error as? ExportProblem)?.description.contains("UTF8") == true
            }
        }
    }

    @Test func quantilesLieWithinTheirBucketAndNeverAboveTheMaximum() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            var spans = Model.spans(1_000)
            for index in spans.indices { spans[index].end = spans[index].start + UInt64(index + 1) * 1_000_000 }
            let cancellation = Cancellation()
            #expect(database.writer().writer.write(try Model.batch(spans), cancellation: cancellation) == .written)
            let row =
                try database.connection.query(
                    """
                    select traces_quantile(duration_histogram, 0.5, max_duration_ms),
                    traces_quantile(duration_histogram, 0.95, max_duration_ms),
                    traces_quantile(duration_histogram, 0.99, max_duration_ms), traces_quantile(duration_histogram, 1, max_duration_ms),
                    traces_quantile(duration_histogram, 0, max_duration_ms), trace_count, sampled_count, min_duration_ms, max_duration_ms,
                    avg_duration_ms, cardinality(duration_histogram) from traces_1day
                    """
                ).first?.map { Double($0 ?? "") ?? .nan } ?? []
            try #require(row.count == 11)
            #expect((500...502).contains(row[0]) && (940...960).contains(row[1]) && (980...1_000).contains(row[2]), "\(row)")
            #expect(row[3] == 1_000 && row[4] >= 0 && row[4] <= 1)
            #expect(row[5...] == [1_000, 1_000, 1, 1_000, 500.5, Double(DurationHistogram.boundsMilliseconds.count + 1)])
            #expect(try database.value("select traces_quantile('{0,0}', 0.5, 3)") == nil)
            #expect(try database.value("select traces_duration_bounds()")?.hasPrefix("{1,2,3,5,") == true)
        }
    }

    @Test func aggregatesWeightByAdjustedCountAndEventsKeepTheirOldNames() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            try database.connection.query(
                """
                insert into traces (ts, trace_id, span_id, project_id, service_name, name, status_code, duration_ms, provider, model,
                prompt_tokens, completion_tokens, total_tokens, total_cost_usd, adjusted_count, resource_id, attributes)
                values ('2026-01-01 12:34:56+00', '101112131415161718191a1b1c1d1e1f', '\\xa0a1a2a3a4a5a6a7', 'p', 's', 'chat', 'ERROR',
                10, 'openai', 'gpt', 5, 7, 12, 0.5, 4, 1, '{}'),
                ('2026-01-01 12:34:57+00', '101112131415161718191a1b1c1d1e1f', '\\xa0', 'p', 's', 'chat', 'OK', 110, 'openai',
                'gpt', null, null, null, null, 1, 1, '{}')
                """)
            for (aggregate, bucket) in [(Aggregate.minute, "12:34:00"), (.hour, "12:00:00"), (.day, "00:00:00")] {
                let row = try database.connection.query(
                    """
                    select to_char(bucket at time zone 'utc', 'HH24:MI:SS'), trace_count, sampled_count, error_count, prompt_tokens,
                    total_tokens, total_cost_usd, avg_duration_ms, min_duration_ms, max_duration_ms from \(aggregate.rawValue)
                    """)
                #expect(row == [[bucket, "5", "2", "4", "20", "48", "2", "30", "10", "110"]])
            }
            let event = try database.connection.query(
                """
                select tenant_id, event_id, model_name, latency_ms, tokens_total, cost_usd, status_code from llm_events
                where latency_ms = 10
                """
            )
            #expect(event == [["p", "101112131415161718191a1b1c1d1e1fa0a1a2a3a4a5a6a7", "gpt", "10", "12", "0.5", "500"]])
            let hourly = try database.connection.query(
                "select tenant_id, model_name, event_count, avg_latency, max_latency, total_tokens from llm_events_hourly")
            #expect(hourly == [["p", "gpt", "5", "30", "110", "48"]])
        }
    }
}
