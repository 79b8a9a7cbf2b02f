/// The rollups of `traces`: continuous aggregates on TimescaleDB, views elsewhere.
enum Aggregate: String, CaseIterable, Sendable {
    case minute = "traces_1min"
    case hour = "traces_1hour"
    case day = "traces_1day"

    /// Also how often the refresh policy runs.
    var bucket: Duration {
        switch self {
        case .minute: .seconds(60)
        case .hour: .seconds(3_600)
        case .day: .seconds(86_400)
        }
    }

    /// How far back the policy looks for changed rows.
    func startOffset(retention: Duration) -> Duration {
        let wanted: Duration =
            switch self {
            case .minute: .seconds(2 * 3_600)
            case .hour: .seconds(2 * 86_400)
            case .day: .seconds(30 * 86_400)
            }
        // Refreshing a range whose rows retention has dropped would delete its history. TimescaleDB wants two buckets at least.
        let shortest = endOffset + bucket * 2
        return retention > .zero ? max(min(wanted, retention), shortest) : wanted
    }

    /// The bucket that is still filling is left out.
    var endOffset: Duration { bucket }

    /// The query behind the aggregate. `bucketExpression` gives the start of a row's bucket, in UTC.
    func select(from schema: SQLIdentifier, bucketExpression: String) -> String {
        """
        select \(bucketExpression) as bucket, project_id, service_name, provider, model,
          sum(adjusted_count) as trace_count,
          count(*) as sampled_count,
          coalesce(sum(adjusted_count) filter (where status_code = 'ERROR'), 0) as error_count,
          sum(prompt_tokens * adjusted_count) as prompt_tokens,
          sum(completion_tokens * adjusted_count) as completion_tokens,
          sum(total_tokens * adjusted_count) as total_tokens,
          sum(total_cost_usd * adjusted_count) as total_cost_usd,
          sum(duration_ms * adjusted_count) / nullif(sum(adjusted_count), 0) as avg_duration_ms,
          min(duration_ms) as min_duration_ms,
          max(duration_ms) as max_duration_ms,
          \(Self.histogram) as duration_histogram
        from \(schema).traces
        group by 1, 2, 3, 4, 5
        """
    }

    /// One sum per bucket of `DurationHistogram`.
    private static var histogram: String {
        let bounds = DurationHistogram.boundsMilliseconds
        var conditions = ["duration_ms < \(bounds[0])"]
        for (lower, upper) in zip(bounds, bounds.dropFirst()) { conditions.append("duration_ms >= \(lower) and duration_ms < \(upper)") }
        conditions.append("duration_ms >= \(bounds[bounds.count - 1])")
        let sums = conditions.map { "coalesce(sum(adjusted_count) filter (where \($0)), 0)" }
        return "array[\(sums.joined(separator: ",\n    "))]::double precision[]"
    }
}

extension Duration {
    /// As an SQL interval literal, to the millisecond.
    var sqlInterval: String {
        let (seconds, attoseconds) = components
        return "interval '\(seconds * 1_000 + attoseconds / 1_000_000_000_000_000) milliseconds'"
    }
}
