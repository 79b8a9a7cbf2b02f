import Dispatch
import Glibc
import Pipeline
import SelfTelemetry
import Testing
@testable import Exporters

@Suite struct SQLiteSchemaTests {
    private let fixture: SQLiteFixture

    init() throws {
        fixture = try SQLiteFixture()
    }

    private func columns(_ table: String) throws -> [String] {
        try fixture.rows("select name from pragma_table_info('\(table)')").map { String($0[0].dropFirst().dropLast()) }
    }

    @Test func tablesHaveTheContractsColumnsInItsOrder() throws {
        try fixture.store().open()
        let contract = """
            ts trace_id span_id parent_span_id project_id service_name name kind status_code status_message duration_ms provider \
            model operation user_id session_id prompt_tokens completion_tokens total_tokens cached_tokens cache_write_tokens \
            reasoning_tokens prompt_cost_usd completion_cost_usd total_cost_usd ttft_ms finish_reason input output \
            adjusted_count sampling_reason resource_id scope_name scope_version attributes events links trace_state flags \
            dropped_attributes dropped_events dropped_links start_unix_nano duration_nano
            """
        #expect(try columns("traces") == contract.split(separator: " ").map(String.init))
        #expect(try columns("resources") == ["resource_id", "service_name", "attributes", "schema_url", "first_seen"])
        let required = try fixture.rows("select name from pragma_table_info('traces') where \"notnull\"").map { $0[0] }
        #expect(required == [
            "'ts'", "'trace_id'", "'span_id'", "'project_id'", "'service_name'", "'duration_ms'", "'adjusted_count'",
            "'resource_id'", "'attributes'",
        ])
    }

    @Test func theInsertStatementNamesEveryColumnOfTheTable() throws {
        try fixture.store().open()
        #expect(try columns("traces") == TracesColumn.allCases.map(\.databaseName))
        let genAI = try columns("traces").drop { $0 != "provider" }.prefix { $0 != "adjusted_count" }
        #expect(TracesColumn.genAI.map(\.databaseName) == Array(genAI))
    }

    @Test func indexesHaveTheContractsNames() throws {
        try fixture.store().open()
        let names = try fixture.rows("select name from pragma_index_list('traces') order by 1").map { $0[0] }
        #expect(names == [
            "'idx_traces_cost'", "'idx_traces_duration'", "'idx_traces_model'", "'idx_traces_project_ts'", "'idx_traces_provider'",
            "'idx_traces_session'", "'idx_traces_status'", "'idx_traces_trace'", "'idx_traces_ts'", "'idx_traces_user'",
        ])
    }

    @Test func viewsHaveTheContractsColumns() throws {
        try fixture.store().open()
        for view in ["traces_1min", "traces_1hour", "traces_1day"] {
            let contract = """
                bucket project_id service_name provider model trace_count sampled_count error_count prompt_tokens \
                completion_tokens total_tokens total_cost_usd avg_duration_ms min_duration_ms max_duration_ms duration_histogram
                """
            #expect(try Array(columns(view).prefix(16)) == contract.split(separator: " ").map(String.init))
        }
        #expect(try columns("llm_events") == [
            "timestamp", "tenant_id", "event_id", "model_name", "provider", "latency_ms", "tokens_total", "prompt_tokens",
            "completion_tokens", "cost_usd", "status_code", "user_id", "session_id",
        ])
        #expect(try columns("llm_events_hourly") == [
            "hour", "tenant_id", "model_name", "event_count", "avg_latency", "max_latency", "total_tokens",
        ])
        let spans = try columns("spans")
        #expect(spans.filter { !["trace_uuid", "resource_attributes", "resource_schema_url"].contains($0) } == (try columns("traces")))
        #expect(spans.count == 47)
    }

    @Test func queriesUseTheIndexes() throws {
        try fixture.store().open()
        let plans = [
            ("select * from spans where trace_uuid = 'x'", "idx_traces_trace"),
            ("select * from spans where trace_id = 'x'", "idx_traces_trace"),
            ("select * from traces where ts > datetime('now', '-1 hour')", "idx_traces_ts"),
            ("select * from traces where project_id = 'x' order by ts desc", "idx_traces_project_ts"),
            ("select * from traces where user_id = 'x'", "idx_traces_user"),
            ("select * from traces where session_id = 'x' order by ts desc", "idx_traces_session"),
            ("select * from traces where status_code = 'ERROR' order by ts desc", "idx_traces_status"),
            ("select * from traces where model = 'x'", "idx_traces_model"),
        ]
        for (query, index) in plans {
            let connection = try SQLiteConnection(path: fixture.path)
            let statement = try SQLiteStatement(connection, "explain query plan " + query)
            var plan = ""
            while try statement.step() { plan += (statement.text(3) ?? "") + "\n" }
            #expect(plan.contains(index), "\(query): \(plan)")
        }
    }

    @Test func openingAgainChangesNothing() throws {
        try fixture.store().open()
        let before = try fixture.rows("select version, name, applied_at from collector_schema_migrations", columns: 3)
        try fixture.store().open()
        #expect(before.count == SQLiteSchema.migrations.count)
        #expect(try fixture.rows("select version, name, applied_at from collector_schema_migrations", columns: 3) == before)
    }

    @Test func tenAtOnceMakeOneSchema() throws {
        let failures = Counter()
        DispatchQueue.concurrentPerform(iterations: 10) { [fixture] _ in
            do throws(ExportProblem) { try fixture.store().open() } catch { failures.add() }
        }
        #expect(failures.value == 0)
        #expect(try fixture.value("select count(*) from collector_schema_migrations") == "\(SQLiteSchema.migrations.count)")
    }

    @Test func aNewerSchemaIsAnErrorThatSaysSo() throws {
        try fixture.store().open()
        try fixture.execute("insert into collector_schema_migrations values (999, 'from the future', '')")
        let problem = try #require(throws: ExportProblem.self) { try fixture.store().open() }
        #expect(problem.kind == "schema")
        #expect(problem.description.contains("newer collector (schema 999, this one knows up to \(SQLiteSchema.currentVersion))"))
    }

    @Test func missingDirectoriesAreMadeForNobodyElse() throws {
        try fixture.store { $0.path = fixture.directory + "/a//b/c/x.db" }.open()
        var status = stat()
        #expect(stat(fixture.directory + "/a/b/c", &status) == 0)
        #expect(status.st_mode & 0o007 == 0)
    }

    @Test func journalAndDurabilityAreWhatTheyAreSaidToBe() throws {
        let session = try SQLiteSession(fixture.config)
        #expect(try session.connection.integer("pragma synchronous") == 2)
        #expect(try session.connection.integer("pragma auto_vacuum") == 2)
        #expect(try session.connection.integer("pragma page_size") == SQLiteLimits.pageBytes)
        #expect(try fixture.value("select journal_mode from pragma_journal_mode") == "'wal'")
    }

    @Test func aPathThatCannotBeADatabaseIsRefusedWithItsReason() throws {
        func problem(_ path: String) throws -> ExportProblem {
            try #require(throws: ExportProblem.self) { try fixture.store { $0.path = path }.open() }
        }
        let file = fixture.directory + "/file"
        let stream = try #require(fopen(file, "w"))
        fputs(String(repeating: "this is no database\n", count: 100), stream)
        fclose(stream)
        #expect(try problem(file).kind == "corrupt")
        #expect(try problem(file + "/telemetry.db").kind == "path")
        #expect(try problem(file + "/deeper/telemetry.db").description.contains("Not a directory"))
        #expect(try problem(fixture.directory).kind == "path")
        #expect(try problem("/proc/telemetry.db").kind == "path")
        for kind in ["corrupt", "path", "permission", "schema"] {
            #expect(SQLiteProblem.isFatalAtStart(ExportProblem(kind: kind, "")))
        }
        for kind in ["locked", "disk", "memory"] { #expect(!SQLiteProblem.isFatalAtStart(ExportProblem(kind: kind, ""))) }
    }

    @Test(arguments: [
        (0, "1970-01-01 00:00:00.000000"), (951_782_399_999_999, "2000-02-28 23:59:59.999999"),
        (951_782_400_000_000, "2000-02-29 00:00:00.000000"), (1_767_323_045_123_456, "2026-01-02 03:04:05.123456"),
        (4_107_542_400_000_000, "2100-03-01 00:00:00.000000"), (18_446_744_073_709_551, "2554-07-21 23:34:33.709551"),
        (-1, "1969-12-31 23:59:59.999999"),
    ] as [(Int64, String)])
    func timesAreWrittenAsSQLiteReadsThem(microseconds: Int64, text: String) throws {
        #expect(String(decoding: TimestampText.bytes(microseconds: microseconds), as: UTF8.self) == text)
    }

    @Test func everyDayIsWrittenAsSQLiteComputesIt() throws {
        let connection = try SQLiteConnection(path: ":memory:")
        let statement = try SQLiteStatement(connection, "select strftime('%Y-%m-%d %H:%M:%S', ?1, 'unixepoch')")
        for day in stride(from: Int64(0), to: 220_000, by: 37) {
            let seconds = day * 86_400 + day % 86_400
            try statement.bind(1, seconds)
            #expect(try statement.step())
            let ours = String(decoding: TimestampText.bytes(microseconds: seconds * 1_000_000), as: UTF8.self)
            #expect(ours == statement.text(0)! + ".000000")
            statement.reset()
        }
    }
}
