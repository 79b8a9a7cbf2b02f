import Testing
@testable import Exporters

@Suite struct SQLiteViewTests {
    private let fixture: SQLiteFixture

    init() throws {
        fixture = try SQLiteFixture()
        try fixture.store().open()
    }

    /// A row of `traces` with what the aggregates read.
    private func add(
        _ ts: String, _ milliseconds: Double, count: Double = 1, status: String = "OK", provider: String? = nil, tokens: Int? = nil
    ) throws {
        try fixture.execute(
            """
            insert into traces (ts, trace_id, span_id, project_id, service_name, status_code, duration_ms, provider, model, total_tokens,
                adjusted_count, resource_id, attributes)
            values ('\(ts)', 'aa', 'bb', 'p', 's', '\(status)', \(milliseconds), \(provider.map { "'\($0)'" } ?? "null"),
                \(provider == nil ? "null" : "'gpt'"), \(tokens.map(String.init) ?? "null"), \(count), 1, '{}')
            """)
    }

    @Test func aggregatesWeighByTheAdjustedCount() throws {
        try add("2026-01-02 03:04:05.000000", 10, count: 3, provider: "openai", tokens: 100)
        try add("2026-01-02 03:04:59.999999", 20, count: 1, status: "ERROR", provider: "openai", tokens: 7)
        try add("2026-01-02 03:05:00.000000", 1_000)
        let columns = """
            bucket, trace_count, sampled_count, error_count, total_tokens, avg_duration_ms, min_duration_ms, max_duration_ms, total_cost_usd
            """
        #expect(try fixture.rows("select \(columns) from traces_1min order by bucket", columns: 9) == [
            ["'2026-01-02 03:04:00'", "4.0", "2", "1.0", "307.0", "12.5", "10.0", "20.0", "NULL"],
            ["'2026-01-02 03:05:00'", "1.0", "1", "0.0", "NULL", "1000.0", "1000.0", "1000.0", "NULL"],
        ])
        #expect(try fixture.rows("select bucket, sampled_count from traces_1hour order by provider", columns: 2) == [
            ["'2026-01-02 03:00:00'", "1"], ["'2026-01-02 03:00:00'", "2"],
        ])
        #expect(try fixture.value("select distinct bucket from traces_1day") == "'2026-01-02 00:00:00'")
        #expect(try fixture.value("select datetime(bucket, '+1 day') from traces_1day") == "'2026-01-03 00:00:00'")
    }

    @Test func theHistogramCountsEachSpanInTheBucketOfItsDuration() throws {
        let bounds = DurationHistogram.boundsMilliseconds
        try add("2026-01-02 03:04:05.000000", -5)
        try add("2026-01-02 03:04:05.000000", 0.999)
        for bound in bounds { try add("2026-01-02 03:04:05.000000", Double(bound), count: 2) }
        let histogram = try fixture.value("select duration_histogram from traces_1min")
        let expected = "[2.0," + Array(repeating: "2.0", count: bounds.count).joined(separator: ",") + "]"
        #expect(histogram == "'\(expected)'")
    }

    @Test func quantilesAreInterpolatedAndNeverAboveTheMaximum() throws {
        for step in 0..<100 { try add("2026-01-02 03:04:05.000000", 100 + Double(step) / 2) }
        let row = try fixture.rows("select p50_ms, p95_ms, p99_ms from traces_1min", columns: 3)[0].map { Double($0) ?? -1 }
        // All within the bucket that begins at 100 ms, of which the part up to the maximum, 149.5, is filled.
        #expect(row == [124.75, 147.025, 149.005])
        try fixture.execute("delete from traces")
        try add("2026-01-02 03:04:05.000000", 700_000)
        #expect(try fixture.value("select p50_ms from traces_1min") == "650000.0")
        try fixture.execute("delete from traces")
        try add("2026-01-02 03:04:05.000000", 105)
        #expect(try fixture.value("select p99_ms from traces_1min") == "104.95")
    }

    @Test func llmEventsHoldLLMRowsInTheOlderNames() throws {
        try add("2026-01-02 03:04:05.000000", 10, status: "ERROR", provider: "openai", tokens: 5)
        try add("2026-01-02 03:04:05.000000", 10)
        let rows = try fixture.rows(
            "select timestamp, tenant_id, event_id, model_name, latency_ms, tokens_total, status_code from llm_events", columns: 7)
        #expect(rows == [["'2026-01-02 03:04:05.000000'", "'p'", "'aabb'", "'gpt'", "10.0", "5", "500"]])
        let hourly = try fixture.rows(
            "select hour, tenant_id, model_name, event_count, avg_latency, max_latency, total_tokens from llm_events_hourly", columns: 7)
        #expect(hourly == [["'2026-01-02 03:00:00'", "'p'", "'gpt'", "1.0", "10.0", "10.0", "5.0"]])
    }

    @Test func spansAreFoundByTheTextOfTheirTraceID() throws {
        try add("2026-01-02 03:04:05.000000", 10)
        #expect(try fixture.value("select span_id from spans where trace_uuid = 'aa'") == "'bb'")
    }
}
