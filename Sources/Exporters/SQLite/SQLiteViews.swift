/// The contract's aggregates and views, all plain views here: they are computed from `traces` when they are read. A
/// migration that changes columns drops the views and makes them anew from here.
enum SQLiteViews {
    static let all = spans + llmEvents + aggregates + llmEventsHourly

    /// As in PostgreSQL: `trace_uuid` stands between the ids and the rest.
    private static let spanColumns = TracesColumn.allCases.map { column in
        "t.\(column.databaseName)" + (column == .parentSpanID ? ", t.trace_id as trace_uuid" : "")
    }.joined(separator: ", ")

    private static let spans = """
        create view spans as
            select \(spanColumns), r.attributes as resource_attributes, r.schema_url as resource_schema_url
            from traces t left join resources r on r.resource_id = t.resource_id;

        """

    private static let llmEvents = """
        create view llm_events as
            select ts as timestamp, project_id as tenant_id, trace_id || span_id as event_id, model as model_name, provider,
                duration_ms as latency_ms, total_tokens as tokens_total, prompt_tokens, completion_tokens,
                total_cost_usd as cost_usd, case when status_code = 'ERROR' then 500 else 200 end as status_code,
                user_id, session_id
            from traces
            where provider is not null or model is not null or operation is not null;

        """

    private static let llmEventsHourly = """
        create view llm_events_hourly as
            select bucket as hour, project_id as tenant_id, model as model_name, sum(trace_count) as event_count,
                sum(avg_duration_ms * trace_count) / nullif(sum(trace_count), 0) as avg_latency, max(max_duration_ms) as max_latency,
                sum(total_tokens) as total_tokens
            from traces_1hour
            where provider is not null or model is not null
            group by bucket, project_id, model;

        """

    /// Name, and the bucket's start as text of the same format as `ts`, without decimals.
    private static let widths = [
        (name: "traces_1min", bucket: "substr(ts, 1, 16) || ':00'"),
        (name: "traces_1hour", bucket: "substr(ts, 1, 13) || ':00:00'"),
        (name: "traces_1day", bucket: "substr(ts, 1, 10) || ' 00:00:00'"),
    ]

    private static let aggregates = widths.map { aggregate(name: $0.name, bucket: $0.bucket) }.joined()

    private static func aggregate(name: String, bucket: String) -> String {
        """
        create view \(name) as
            select a.*, \(quantile(0.5)) as p50_ms, \(quantile(0.95)) as p95_ms, \(quantile(0.99)) as p99_ms
            from (
                select \(bucket) as bucket, project_id, service_name, provider, model,
                    sum(adjusted_count) as trace_count, count(*) as sampled_count,
                    total(adjusted_count) filter (where status_code = 'ERROR') as error_count,
                    sum(prompt_tokens * adjusted_count) as prompt_tokens,
                    sum(completion_tokens * adjusted_count) as completion_tokens,
                    sum(total_tokens * adjusted_count) as total_tokens,
                    sum(total_cost_usd * adjusted_count) as total_cost_usd,
                    sum(duration_ms * adjusted_count) / nullif(sum(adjusted_count), 0) as avg_duration_ms,
                    min(duration_ms) as min_duration_ms, max(duration_ms) as max_duration_ms,
                    \(histogram) as duration_histogram
                from traces
                group by 1, project_id, service_name, provider, model
            ) a;

        """
    }

    /// Sums of `adjusted_count`, one per bucket; one more than there are bounds.
    private static var histogram: String {
        let bounds = DurationHistogram.boundsMilliseconds
        var buckets: [String] = []
        for index in 0...bounds.count {
            var conditions: [String] = []
            if index > 0 { conditions.append("duration_ms >= \(bounds[index - 1])") }
            if index < bounds.count { conditions.append("duration_ms < \(bounds[index])") }
            buckets.append("total(adjusted_count) filter (where \(conditions.joined(separator: " and ")))")
        }
        return "json_array(\(buckets.joined(separator: ", ")))"
    }

    /// The duration below which the part `rank` of the spans lies: interpolated within its bucket, never above the maximum.
    private static func quantile(_ rank: Double) -> String {
        let bounds = DurationHistogram.boundsMilliseconds.map(String.init).joined(separator: ",")
        return """
            (select min(a.max_duration_ms, lower + max(0, min(upper, a.max_duration_ms) - lower)
                * (\(rank) * a.trace_count - below) / amount)
            from (
                select value as amount, total(value) over (order by key) - value as below,
                    coalesce(json_extract('[0,\(bounds)]', '$[' || key || ']'), 0) as lower,
                    coalesce(json_extract('[\(bounds)]', '$[' || key || ']'), a.max_duration_ms) as upper
                from json_each(a.duration_histogram)
            ) where amount > 0 and below + amount >= \(rank) * a.trace_count limit 1)
            """
    }
}
