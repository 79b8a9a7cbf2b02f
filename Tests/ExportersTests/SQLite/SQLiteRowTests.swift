import OTLPWire
import Pipeline
import Testing
@testable import Exporters

@Suite struct SQLiteRowTests {
    private let fixture: SQLiteFixture

    init() throws {
        fixture = try SQLiteFixture()
    }

    /// The one row of `traces`, each value as an SQL literal, by column name.
    private func row(_ batch: SpanBatch, _ change: (inout SQLiteConfig) -> Void = { _ in }) throws -> [String: String] {
        let store = fixture.store(change)
        #expect(store.write(batch) == .written)
        let names = TracesColumn.allCases.map(\.databaseName)
        let rows = try fixture.rows("select \(names.joined(separator: ", ")) from traces", columns: names.count)
        try #require(rows.count == 1)
        return Dictionary(uniqueKeysWithValues: zip(names, rows[0]))
    }

    @Test func everyFieldOfASpanIsInItsColumn() throws {
        var span = Sample.span()
        span.spanID = [1, 0, 0, 0, 0, 0, 0xAB, 0xCD]
        span.parentSpanID = [0, 1, 2, 3, 4, 5, 6, 7]
        span.kind = 3
        span.statusCode = 2
        span.statusMessage = Array("it broke".utf8)
        span.traceState = Array("vendor=1".utf8)
        span.flags = 0x8000_0301
        span.attributes = [
            ModelAttribute("http.status", .int(200)), ModelAttribute("ratio", .double(0.5)), ModelAttribute("ok", .bool(true)),
            ModelAttribute("id", .bytes([1, 2, 255])),
        ]
        span.events = [ModelEvent(time: 77, name: Array("retry".utf8), attributes: [ModelAttribute("n", .int(1))], dropped: 4)]
        span.links = [
            ModelLink(
                traceID: Array(repeating: 0xAA, count: 16), spanID: Array(repeating: 0xBB, count: 8),
                attributes: [ModelAttribute("l", .text("x"))]),
        ]
        (span.droppedAttributes, span.droppedEvents, span.droppedLinks) = (5, 6, 7)
        let batch = try Sample.batch([span], resource: [("service.name", .text("shop")), ("service.namespace", .text("team"))])
        let row = try row(batch)
        #expect(row["ts"] == "'2026-01-02 03:04:05.123456'")
        #expect(row["trace_id"] == "'101112131415161718191a1b1c1d1e1f'")
        #expect(row["span_id"] == "'010000000000abcd'")
        #expect(row["parent_span_id"] == "'0001020304050607'")
        #expect(row["project_id"] == "'team'" && row["service_name"] == "'shop'")
        #expect(row["name"] == "'GET /orders'" && row["kind"] == "'CLIENT'")
        #expect(row["status_code"] == "'ERROR'" && row["status_message"] == "'it broke'")
        #expect(row["duration_ms"] == "12.5" && row["adjusted_count"] == "1.0")
        #expect(row["scope_name"] == "'http'" && row["scope_version"] == "'1.2'")
        #expect(row["attributes"] == #"'{"http.status":200,"ratio":0.5,"ok":true,"id":{"bytes":"AQL/"}}'"#)
        #expect(row["events"] == #"'[{"name":"retry","time_unix_nano":77,"attributes":{"n":1},"dropped_attributes":4}]'"#)
        let link = """
            '[{"trace_id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","span_id":"bbbbbbbbbbbbbbbb","trace_state":"","flags":0,\
            "attributes":{"l":"x"},"dropped_attributes":0}]'
            """
        #expect(row["links"] == link)
        #expect(row["trace_state"] == "'vendor=1'" && row["flags"] == "\(0x8000_0301)")
        #expect(row["dropped_attributes"] == "5" && row["dropped_events"] == "6" && row["dropped_links"] == "7")
        #expect(row["start_unix_nano"] == "1767323045123456789" && row["duration_nano"] == "12500000")
        for column in TracesColumn.genAI { #expect(row[column.databaseName] == "NULL") }
        #expect(row["sampling_reason"] == "NULL")
        #expect(try fixture.value("select date(ts) from traces") == "'2026-01-02'")
        let resource = try fixture.rows("select resource_id, service_name, attributes, schema_url from resources", columns: 4)
        #expect(resource == [[
            row["resource_id"] ?? "", "'shop'", #"'{"service.name":"shop","service.namespace":"team"}'"#,
            "'https://opentelemetry.io/schemas/1.26.0'",
        ]])
    }

    @Test func whatASpanLacksIsNull() throws {
        let row = try row(try Sample.batch([Sample.span()], resource: [], scope: ("", "")))
        for column in ["parent_span_id", "status_message", "trace_state", "events", "links", "scope_name", "scope_version"] {
            #expect(row[column] == "NULL")
        }
        #expect(row["attributes"] == "'{}'" && row["status_code"] == "'UNSET'" && row["flags"] == "0")
        #expect(row["project_id"] == "'default'" && row["service_name"] == "'unknown_service'")
    }

    @Test func aSpanTakesNothingFromTheOneBefore() throws {
        var rich = Sample.span()
        rich.parentSpanID = Array(repeating: 9, count: 8)
        rich.statusCode = 1
        rich.statusMessage = Array("fine".utf8)
        rich.traceState = Array("a=b".utf8)
        rich.events = [ModelEvent()]
        rich.links = [ModelLink()]
        var poor = Sample.span()
        poor.spanID = [1, 0, 0, 0, 0, 0, 0, 2]
        var batch = try Sample.batch([rich, poor])
        batch.append(try Sample.batch([poor], resource: [("service.name", .text("other"))], scope: ("", "")))
        #expect(fixture.store().write(batch) == .written)
        let rows = try fixture.rows(
            "select parent_span_id, status_message, trace_state, events, links, service_name, scope_name from traces order by rowid",
            columns: 7)
        #expect(rows[1] == ["NULL", "NULL", "NULL", "NULL", "NULL", "'shop'", "'http'"])
        #expect(rows[2] == ["NULL", "NULL", "NULL", "NULL", "NULL", "'other'", "NULL"])
    }

    @Test func hostileTextIsSanitisedAndKept() throws {
        let large = String(repeating: "p", count: 1 << 20)
        var span = Sample.span(attributes: [
            ("k", .string([0x00, 0xC3])), ("nan", .double(.nan)), ("inf", .double(-.infinity)), ("large", .text(large)),
            ("'; drop table traces; --", .text("'\"\\")),
        ])
        span.name = [0x61, 0x00, 0x62, 0xFF, 0xED, 0xA0, 0x80, 0x27]
        let row = try row(try Sample.batch([span]))
        #expect(row["name"] == "'a\u{FFFD}b\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}'''")
        #expect(try fixture.value("select json_valid(attributes) from traces") == "1")
        #expect(try fixture.value("select attributes ->> '$.k' from traces") == "'\u{FFFD}\u{FFFD}'")
        #expect(try fixture.value("select attributes ->> '$.nan.double' from traces") == "'NaN'")
        #expect(try fixture.value("select attributes ->> '$.inf.double' from traces") == "'-Infinity'")
        #expect(try fixture.value("select length(attributes ->> '$.large') from traces") == "\(1 << 20)")
    }

    @Test func repeatedKeysAreAllKept() throws {
        let span = Sample.span(attributes: [("a", .int(1)), ("a", .int(2))])
        #expect(try row(try Sample.batch([span]))["attributes"] == #"'{"kvlist":[["a",1],["a",2]]}'"#)
    }

    @Test func timesThatAreNotBelievedBecomeTheArrivalAndStayExactBesideIt() throws {
        var missing = Sample.span()
        missing.start = 0
        var future = Sample.span()
        future.start = 18_446_744_073_709_551_615
        future.end = 5
        var reversed = Sample.span()
        reversed.end = reversed.start - 2_000_000
        var ancient = Sample.span()
        ancient.start = 1_000_000
        ancient.end = 2_000_000
        #expect(fixture.store().write(try Sample.batch([missing, future, reversed, ancient])) == .written)
        let rows = try fixture.rows("select ts, start_unix_nano, duration_nano, duration_ms from traces order by rowid", columns: 4)
        #expect(rows[0] == ["'2026-01-02 03:05:00.000000'", "0", "1767323045135956789", "0.0"])
        #expect(rows[1].prefix(3) == ["'2026-01-02 03:05:00.000000'", "-1", "6"])
        #expect(rows[2] == ["'2026-01-02 03:04:05.123456'", "1767323045123456789", "-2000000", "0.0"])
        #expect(rows[3] == ["'1970-01-01 00:00:00.001000'", "1000000", "1000000", "1.0"])
    }

    @Test func withARetentionOlderStartsBecomeTheArrival() throws {
        var span = Sample.span()
        span.start = Sample.received - 7_200_000_000_000
        let row = try row(try Sample.batch([span])) { $0.retention = .seconds(3_600) }
        #expect(row["ts"] == "'2026-01-02 03:05:00.000000'")
    }

    @Test func unknownKindsAndStatusesAreKeptAsNumbers() throws {
        var span = Sample.span()
        span.kind = 99
        span.statusCode = 7
        span.statusMessage = []
        let row = try row(try Sample.batch([span]))
        #expect(row["kind"] == "'99'" && row["status_code"] == "'7'")
    }

    @Test func columnsOfLLMCallsAreWrittenCutAndNotPassedOn() throws {
        try fixture.store().open()
        let connection = try SQLiteConnection(path: fixture.path)
        var insert = try TracesInsert(connection, window: fixture.config.timestampWindow)
        let model = Array(String(repeating: "m", count: 300).utf8)
        let batch = try Sample.batch(Sample.spans(1..<3))
        try insert.startBatch(onlyMissing: false)
        var isFirst = true
        let decision = SamplingDecision(adjustedCount: 2, reason: "errors")
        try model.withUnsafeBytes { model in
            try batch.forEach { (reference) throws(SQLiteError) in
                var row = SpanRow(reference, window: fixture.config.timestampWindow)
                if isFirst {
                    row.genAI = GenAIColumns(
                        provider: WireBytes(rebasing: model[..<3]), model: model, operation: nil, userID: WireBytes(rebasing: model[..<1]),
                        promptTokens: 7, totalTokens: -1, totalCostUSD: 0.25, timeToFirstTokenMilliseconds: 1.5)
                }
                let decided = SpanReference(
                    span: reference.span, receivedUnixNano: reference.receivedUnixNano, decision: isFirst ? decision : nil)
                try insert.insert(row, decided)
                isFirst = false
            }
        }
        insert.endBatch()
        let rows = try fixture.rows(
            """
            select provider, length(model), operation, user_id, session_id, prompt_tokens, total_tokens, total_cost_usd, ttft_ms, input,
                sampling_reason from traces order by rowid
            """, columns: 11)
        #expect(rows[0] == ["'mmm'", "256", "NULL", "'m'", "NULL", "7", "-1", "0.25", "1.5", "NULL", "'errors'"])
        #expect(rows[1] == Array(repeating: "NULL", count: 11))
    }

    @Test func oneResourceIsOneRowHoweverOftenItIsSeen() throws {
        let store = fixture.store()
        for number in 0..<3 as Range<UInt64> { #expect(store.write(try Sample.batch(Sample.spans(number..<number + 1))) == .written) }
        #expect(fixture.store().write(try Sample.batch(Sample.spans(3..<4))) == .written)
        let swapped = try Sample.batch(Sample.spans(4..<5), resource: [("b", .text("2")), ("a", .text("1"))])
        #expect(store.write(swapped) == .written)
        #expect(store.write(try Sample.batch(Sample.spans(5..<6), resource: [("a", .text("1")), ("b", .text("2"))])) == .written)
        #expect(try fixture.value("select count(*) from resources") == "2")
        #expect(try fixture.value("select count(*) from spans where resource_attributes is null") == "0")
    }

    @Test func equalSpansSentTwiceAreTwoRows() throws {
        let store = fixture.store()
        for _ in 0..<2 { #expect(store.write(try Sample.batch(Sample.spans(0..<3))) == .written) }
        #expect(try fixture.value("select count(*) from traces") == "6")
    }
}
