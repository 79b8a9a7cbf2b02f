/// Migration 1: the tables `traces` and `resources`, their indexes, and the hypertable.
enum TracesTable {
    static func statements(_ settings: SchemaSettings) -> [String] {
        tables(settings) + hypertable(settings) + indexes(settings)
    }

    private static func tables(_ settings: SchemaSettings) -> [String] {
        let lz4 = settings.hasLZ4 ? " compression lz4" : ""
        let schema = settings.schema
        return [
            """
            create table if not exists \(schema).traces (
              ts timestamptz not null,
              trace_id uuid not null,
              span_id bytea not null,
              parent_span_id bytea,
              project_id text not null,
              service_name text not null,
              name text,
              kind text,
              status_code text,
              status_message text,
              duration_ms double precision not null,
              provider text,
              model text,
              operation text,
              user_id text,
              session_id text,
              prompt_tokens bigint,
              completion_tokens bigint,
              total_tokens bigint,
              cached_tokens bigint,
              cache_write_tokens bigint,
              reasoning_tokens bigint,
              prompt_cost_usd double precision,
              completion_cost_usd double precision,
              total_cost_usd double precision,
              ttft_ms double precision,
              finish_reason text,
              input text\(lz4),
              output text\(lz4),
              adjusted_count double precision not null,
              sampling_reason text,
              resource_id bigint not null,
              scope_name text,
              scope_version text,
              attributes jsonb\(lz4) not null,
              events jsonb,
              links jsonb,
              trace_state text,
              flags integer,
              dropped_attributes integer,
              dropped_events integer,
              dropped_links integer,
              start_unix_nano bigint,
              duration_nano bigint
            )
            """,
            """
            create table if not exists \(schema).resources (
              resource_id bigint primary key,
              service_name text,
              attributes jsonb,
              schema_url text,
              first_seen timestamptz
            )
            """,
        ]
    }

    /// Before the indexes, so that chunks get them. TimescaleDB's own default index would double `idx_traces_ts`.
    private static func hypertable(_ settings: SchemaSettings) -> [String] {
        guard let timescale = settings.timescale else { return [] }
        let traces = settings.relation("traces")
        let functions = timescale.functions
        var statements = [
            """
            select \(functions).create_hypertable(\(traces), \(functions).by_range('ts', \(settings.chunkInterval.sqlInterval)), \
            create_default_indexes => false, if_not_exists => true)
            """
        ]
        if settings.spacePartitions > 0 {
            statements.append(
                """
                select \(functions).add_dimension(\(traces), \(functions).by_hash('project_id', \(settings.spacePartitions)), \
                if_not_exists => true)
                """)
        }
        if timescale.isCommunity {
            statements.append(
                """
                alter table \(settings.schema).traces set (timescaledb.compress, \
                timescaledb.compress_segmentby = 'project_id, provider, model', timescaledb.compress_orderby = 'ts desc')
                """)
        }
        return statements
    }

    /// Name, columns and predicate; the names are part of the database contract.
    private static let minimalIndexes = [
        ("idx_traces_project_ts", "(project_id, ts desc)"),
        ("idx_traces_trace", "(trace_id)"),
        ("idx_traces_ts", "(ts desc)"),
    ]

    private static let standardIndexes =
        minimalIndexes + [
            ("idx_traces_provider", "(provider) where provider is not null"),
            ("idx_traces_model", "(model) where model is not null"),
            ("idx_traces_user", "(user_id) where user_id is not null"),
            ("idx_traces_session", "(session_id, ts desc) where session_id is not null"),
            ("idx_traces_cost", "(total_cost_usd) where total_cost_usd is not null"),
            ("idx_traces_duration", "(duration_ms) where provider is not null"),
            ("idx_traces_status", "(status_code, ts desc) where status_code = 'ERROR'"),
        ]

    private static func indexes(_ settings: SchemaSettings) -> [String] {
        let wanted =
            switch settings.indexes {
            case .standard: standardIndexes
            case .minimal: minimalIndexes
            case .none: [(String, String)]()
            }
        return wanted.map { "create index if not exists \($0) on \(settings.schema).traces \($1)" }
    }
}
