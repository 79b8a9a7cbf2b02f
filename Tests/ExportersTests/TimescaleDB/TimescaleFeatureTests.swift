import Pipeline
import Testing

@testable import Exporters

/// What only TimescaleDB can do, on a real one.
@Suite(.serialized, .needsTimescaleDB)
struct TimescaleFeatureTests {
    private static let day = Duration.seconds(86_400)

    @Test func tracesIsAHypertableWithItsPolicies() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            let report = try database.migrate {
                $0.spacePartitions = 4
                $0.compressAfter = Self.day * 7
                $0.retention = Self.day * 90
            }
            #expect(report.server.hasPrefix("TimescaleDB 2."))
            let dimensions = try database.connection.query(
                """
                select column_name, time_interval, num_partitions from timescaledb_information.dimensions
                where hypertable_name = 'traces' order by dimension_number
                """)
            #expect(dimensions == [["ts", "1 day", nil], ["project_id", nil, "4"]])
            let jobs = try database.connection.query(
                """
                select proc_name, config->>'start_offset', coalesce(config->>'compress_after', config->>'drop_after', config->>'end_offset')
                from timescaledb_information.jobs where hypertable_schema in ('public', '_timescaledb_internal') order by job_id
                """
            )
            #expect(
                jobs == [
                    ["policy_compression", nil, "168:00:00"], ["policy_retention", nil, "2160:00:00"],
                    ["policy_refresh_continuous_aggregate", "02:00:00", "00:01:00"],
                    ["policy_refresh_continuous_aggregate", "48:00:00", "01:00:00"],
                    ["policy_refresh_continuous_aggregate", "720:00:00", "24:00:00"],
                ])
            let compression = try database.connection.query(
                """
                select segmentby, orderby from timescaledb_information.hypertable_compression_settings
                where hypertable = 'traces'::regclass
                """
            )
            #expect(compression == [["project_id,provider,model", "ts DESC"]])
            #expect(
                try database.value(
                    """
                    select string_agg(view_name || ':' || materialized_only, ',' order by view_name)
                    from timescaledb_information.continuous_aggregates
                    """
                )
                    == "traces_1day:false,traces_1hour:false,traces_1min:false")
        }
    }

    @Test func eachPolicyCanBeOff() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            #expect(
                try database.value(
                    "select count(*) from timescaledb_information.jobs where proc_name in ('policy_compression', 'policy_retention')")
                    == "0")
        }
    }

    @Test func anExistingPolicyWithOtherSettingsStaysAndIsNoFailure() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate { $0.retention = Self.day * 90 }
            try database.migrate { $0.retention = Self.day * 30 }
            #expect(
                try database.value("select config->>'drop_after' from timescaledb_information.jobs where proc_name = 'policy_retention'")
                    == "2160:00:00")
        }
    }

    @Test func aChunkOfLongTextsCompressesAndReadsBack() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let long = String(repeating: "ü", count: 3_000)
            let resource = [ModelAttribute("service.name", .text(long)), ModelAttribute("project.id", .text(long))]
            let batch = try Model.batch(Model.request(Model.spans(100), resource: resource))
            #expect(database.writer().writer.write(batch, cancellation: Cancellation()) == .written)
            try database.connection.query("select compress_chunk(c) from show_chunks('traces') c")
            #expect(try database.spans() == Model.spans(100))
            // Rows may still arrive in a compressed chunk.
            let more = try Model.batch(Model.request(Model.spans(5, first: 100), resource: resource))
            #expect(database.writer().writer.write(more, cancellation: Cancellation()) == .written)
            #expect(try database.count("traces") == 105)
        }
    }

    @Test func tenThousandSpansOnTenThousandDaysMakeFewChunks() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let day: UInt64 = 86_400_000_000_000
            var spans = Model.spans(10_000)
            for index in spans.indices {
                spans[index].start = UInt64(index + 1) * day
                spans[index].end = spans[index].start + 1
            }
            let (writer, context) = database.writer()
            #expect(writer.write(try Model.batch(spans), cancellation: Cancellation()) == .written)
            #expect(try database.count("traces") == 10_000)
            #expect(try #require(Int(try database.value("select count(*) from show_chunks('traces')") ?? "")) <= 92)
            #expect(context.metrics.replacedTimestamps.value >= 10_000 - 92)
            #expect(try database.spans() == spans.sorted { $0.start < $1.start })
        }
    }

    @Test func lateRowsReachTheAggregates() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let config = database.config()
            let gate = SchemaGate()
            gate.open(SchemaFacts(continuousAggregates: Aggregate.allCases))
            let refresher = AggregateRefresher(config: config, schema: gate, logger: Silent.logger)
            // Materialised up to now, as the policies do: what comes later and is older no longer shows by itself.
            try database.connection.query(
                """
                insert into traces (ts, trace_id, span_id, project_id, service_name, duration_ms, adjusted_count, resource_id, attributes)
                values (now() - interval '2 days', gen_random_uuid(), '\\x01', 'recent', 's', 1, 1, 1, '{}')
                """)
            for aggregate in Aggregate.allCases {
                try database.connection.query("call refresh_continuous_aggregate('\(aggregate.rawValue)', null, now())")
            }
            let now = UnixClock.nowMicroseconds()
            let late = now - 40 * 86_400 * 1_000_000
            try database.connection.query(
                """
                insert into traces (ts, trace_id, span_id, project_id, service_name, duration_ms, adjusted_count, resource_id, attributes)
                select timestamptz '\(UTCTimestamp.text(late))' + interval '1 minute' * i, gen_random_uuid(), '\\x01', 'p', 's',
                1, 1, 1, '{}'
                from generate_series(0, 9) i
                """)
            #expect(try database.value("select count(*) from traces_1min where project_id = 'p'") == "0")
            refresher.note(from: late, to: late + 9 * 60_000_000)
            await refresher.shutdown(deadline: .now + .seconds(60))
            for aggregate in Aggregate.allCases {
                #expect(
                    try database.value("select sum(trace_count) from \(aggregate.rawValue) where project_id = 'p'") == "10", "\(aggregate)")
            }
        }
    }

    @Test func aTableMadeWithoutTimescaleDBStaysOrdinary() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            var plain = SchemaSettings()
            plain.indexes = .minimal
            for migration in Migration.all {
                for statement in migration.statements(plain) { try database.connection.query(statement) }
            }
            try database.connection.query(
                """
                create table collector_schema_migrations (
                  version integer primary key, name text not null, applied_at timestamptz default now());
                insert into collector_schema_migrations values (1, 'tables'), (2, 'aggregates_and_views');
                create extension timescaledb
                """)
            #expect(try database.migrate().server == "PostgreSQL")
            #expect(database.writer().writer.write(try Model.batch(Model.spans(3)), cancellation: Cancellation()) == .written)
            #expect(try database.count("traces_1min") == 1)
        }
    }
}
