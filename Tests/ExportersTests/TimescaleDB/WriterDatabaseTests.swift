import OTLPWire
import Pipeline
import Testing

@testable import Exporters

/// Writing to a real PostgreSQL.
@Suite(.serialized, .needsPostgreSQL)
struct WriterDatabaseTests {
    private let cancellation = Cancellation()

    @Test func everythingASpanHadComesBackFromTheDatabase() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            var random = RandomSpans(seed: 4711)
            var spans = (0..<300).map { _ in random.span() }
            for index in spans.indices { spans[index].start = Model.noon + UInt64(index) }
            let writer = database.writer().writer
            #expect(writer.write(try Model.batch(spans), cancellation: cancellation) == .written)
            let found = try database.spans()
            #expect(found.count == spans.count)
            for (found, sent) in zip(found, spans) { #expect(found == sent.normalised) }
        }
    }

    @Test func theColumnsHoldWhatTheContractSays() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let span = ModelSpan(
                traceID: Array(0x10...0x1F), spanID: Array(0xA0...0xA7), parentSpanID: Array(0xB0...0xB7), name: Array("GET /x".utf8),
                kind: 3,
                start: Model.noon, end: Model.noon + 2_500_000, statusCode: 2, statusMessage: Array("boom".utf8), flags: 0x101)
            let resource = [ModelAttribute("service.name", .text("shop")), ModelAttribute("project.id", .text("acme"))]
            let batch = try Model.batch(Model.request([span], resource: resource, schemaURL: "https://schema"))
            #expect(database.writer().writer.write(batch, cancellation: cancellation) == .written)
            let row = try #require(
                try database.connection.query(
                    """
                    select trace_id, span_id, parent_span_id, trace_uuid, project_id, service_name, name, kind, status_code,
                    status_message, duration_ms, adjusted_count, scope_name, scope_version, flags, start_unix_nano, duration_nano,
                    resource_attributes, resource_schema_url, extract(epoch from ts) * 1000000, sampling_reason, provider, input,
                    events, links, parent_span_id is null from spans
                    """
                ).first)
            #expect(
                row == [
                    "101112131415161718191a1b1c1d1e1f", "a0a1a2a3a4a5a6a7", "b0b1b2b3b4b5b6b7", "10111213-1415-1617-1819-1a1b1c1d1e1f",
                    "acme", "shop", "GET /x", "CLIENT", "ERROR", "boom", "2.5", "1", "tests", "1.0", "257", "1767268800000000000",
                    "2500000", #"{"project.id": "acme", "service.name": "shop"}"#, "https://schema", "1767268800000000.000000", nil, nil,
                    nil, nil, nil, "f",
                ])
            #expect(try database.value("select trace_id = '101112131415161718191a1b1c1d1e1f' from traces") == "t")
        }
    }

    @Test func hostileValuesAreStoredAndNothingIsRefused() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let huge = String(repeating: "x", count: 1_000_000)
            let long = String(repeating: "ü", count: 3_000)
            var spans = Model.spans(1)
            spans[0].attributes = [
                ModelAttribute("prompt", .text(huge)), ModelAttribute(Array(repeating: 0x6B, count: 100_000), .int(1)),
                ModelAttribute("user.id", .text(long)), ModelAttribute("nan", .double(.nan)),
                ModelAttribute("tiny", .double(.leastNonzeroMagnitude)),
                ModelAttribute("huge", .double(.greatestFiniteMagnitude)), ModelAttribute([0], .string([0, 0xFF])),
                ModelAttribute("controls", .string(Array(repeating: 1, count: 100_000))), ModelAttribute("user.id", .text("again")),
            ]
            spans[0].name = Array(repeating: 0, count: 100_000)
            let resource = [
                ModelAttribute("service.name", .text(long)), ModelAttribute("project.id", .text(long)), ModelAttribute([0], .string([0])),
            ]
            let writer = database.writer().writer
            let outcome = writer.write(
                try Model.batch(Model.request(spans, resource: resource, scope: "\0", scopeVersion: long)), cancellation: cancellation)
            #expect(outcome == .written)
            #expect(try database.spans() == spans.map(\.normalised))
            #expect(try database.value("select octet_length(project_id) || ' ' || octet_length(service_name) from traces") == "256 2600")
        }
    }

    @Test func aColumnTooLargeForJSONBIsLeftOutAndCountedAsDropped() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            var spans = Model.spans(2)
            spans[0].attributes = [ModelAttribute("many", .array(Array(repeating: .absent, count: RowLimits.jsonValuesMax + 1)))]
            spans[0].droppedAttributes = 3
            let (writer, context) = database.writer()
            #expect(writer.write(try Model.batch(spans), cancellation: cancellation) == .written)
            spans[0].attributes = []
            spans[0].droppedAttributes = 4
            #expect(try database.spans() == spans.map(\.normalised))
            #expect(context.metrics.oversizeColumns.value == 1)
        }
    }

    @Test func theMostNestedAndTheLargestAllowedValuesFitIntoJSONB() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            var value = ModelValue.int(1)
            for _ in 0..<60 { value = .kvlist([ModelAttribute("a", value), ModelAttribute("a", .int(0))]) }
            var spans = Model.spans(2)
            spans[0].attributes = [ModelAttribute("deep", value)]
            spans[1].attributes = [ModelAttribute("many", .array(Array(repeating: .absent, count: RowLimits.jsonValuesMax - 1)))]
            #expect(database.writer().writer.write(try Model.batch(spans), cancellation: cancellation) == .written)
            #expect(
                try database.value("select jsonb_array_length(attributes->'many') from traces where attributes ? 'many'")
                    == "\(RowLimits.jsonValuesMax - 1)")
            #expect(try database.spans().first == spans[0].normalised)
        }
    }

    @Test func tenThousandSpansOfOneHundredResourcesArriveOnce() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let writer = database.writer().writer
            var whole: SpanBatch?
            for index in 0..<100 {
                let resource = [ModelAttribute("service.name", .text("service \(index)"))]
                let batch = try Model.batch(Model.request(Model.spans(100, first: index * 100), resource: resource))
                if whole == nil { whole = batch } else { whole?.append(batch) }
            }
            #expect(writer.write(try #require(whole), cancellation: cancellation) == .written)
            #expect(try database.count("traces") == 10_000)
            #expect(try database.count("resources") == 100)
            #expect(
                try database.value(
                    "select count(distinct service_name) from spans where resource_attributes->>'service.name' = service_name") == "100")
            // Known resources are not written again, and a second writer does not stumble over them.
            #expect(database.writer().writer.write(try Model.batch(Model.spans(1, first: 10_000)), cancellation: cancellation) == .written)
            #expect(try database.count("resources") == 101)
        }
    }

    @Test func anotherSchemaThanPublicWorksAndIsQuoted() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            let schema = #"My "odd" schema's"#
            try database.migrate { $0.schema = SQLIdentifier(name: schema) }
            var config = database.config()
            config.schema = SQLIdentifier(name: schema)
            #expect(database.writer(config).writer.write(try Model.batch(Model.spans(3)), cancellation: cancellation) == .written)
            #expect(try database.spans(schema: "\(config.schema)").count == 3)
            #expect(
                try database.value("select count(*) from information_schema.tables where table_schema = 'public' and table_name = 'traces'")
                    == "0")
        }
    }

    @Test func rowsThatTheDatabaseRefusesAreFoundAndLeftOut() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            try database.connection.query("alter table traces add constraint no_thirteens check (name not like '%13%')")
            let (writer, context) = database.writer()
            let spans = Model.spans(200)
            let bad = spans.filter { String(decoding: $0.name, as: UTF8.self).contains("13") }
            let outcome = writer.write(try Model.batch(spans), cancellation: cancellation)
            guard case .permanent(let problem, let lost, _) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(lost == bad.count && bad.count == 12)
            #expect(problem.kind == "data")
            #expect(problem.description.contains("no_thirteens") && problem.description.contains("23514"))
            #expect(!problem.description.contains("span 13"))
            #expect(try database.spans() == spans.filter { !bad.contains($0) })
            #expect(context.metrics.refused.value > 0)
        }
    }

    @Test func aMissingTableIsAConfigurationProblemAndPassesWhenItIsThere() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            let writer = database.writer().writer
            let batch = try Model.batch(Model.spans(5))
            guard case .retryable(let problem, let after) = writer.write(batch, cancellation: cancellation) else {
                Issue.record("not retryable")
                return
            }
            #expect(problem.kind == "missing_table" && problem.description.contains("42P01"))
            #expect(after == nil)
            try database.migrate()
            #expect(writer.write(batch, cancellation: cancellation) == .written)
            #expect(try database.count("traces") == 5)
        }
    }

    @Test func aWrongPasswordIsAnAuthenticationProblem() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            let options = database.options([("password", "wrong"), ("user", "nobody_\(database.name)")])
            let outcome = database.writer(database.config(options)).writer.write(
                try Model.batch(Model.spans(1)), cancellation: cancellation)
            guard case .retryable(let problem, let after) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(problem.kind == "authentication", "\(problem)")
            #expect(after == RetryConfig().maxInterval)
            #expect(!problem.description.contains("wrong"))
        }
    }

    @Test func aReadOnlyServerIsRetriedOnANewConnection() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let writer = database.writer().writer
            try database.connection.query("alter database \(database.name) set default_transaction_read_only = on")
            guard case .retryable(let problem, let after) = writer.write(try Model.batch(Model.spans(2)), cancellation: cancellation) else {
                Issue.record("not retryable")
                return
            }
            #expect(problem.kind == "read_only")
            #expect(after == nil)
            try database.connection.query("alter database \(database.name) reset default_transaction_read_only")
            #expect(writer.write(try Model.batch(Model.spans(2)), cancellation: cancellation) == .written)
            #expect(try database.count("traces") == 2)
        }
    }

    @Test func cancellationBreaksAWriteThatWaitsForALock() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let batch = try Model.batch(Model.spans(2))
            let writer = database.writer().writer
            #expect(writer.write(batch, cancellation: cancellation) == .written)
            try database.connection.query("begin; lock table traces in access exclusive mode")
            let observer = try Connection(database.options, interrupter: Interrupter())
            let cancellation = cancellation
            let canceller = BlockingThread {
                // Until the writer waits for the lock.
                while (try? observer.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%copy%'"))?
                    .isEmpty == true
                {}
                cancellation.cancel()
            }
            let start = ContinuousClock.now
            guard case .retryable(let problem, _) = writer.write(batch, cancellation: cancellation) else {
                Issue.record("not broken off")
                return
            }
            canceller.join()
            #expect(problem.kind == "interrupted")
            #expect(ContinuousClock.now - start < .seconds(20))
        }
    }
}
