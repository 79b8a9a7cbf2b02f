/// TimescaleDB's background jobs for `traces`: compression, retention, refreshing the aggregates. Created where they are
/// missing; one that exists with other settings stays as it is, and the server's warning says so.
enum Policies {
    static func statements(_ settings: SchemaSettings) -> [String] {
        guard let timescale = settings.timescale, timescale.isCommunity else { return [] }
        let functions = timescale.functions
        let traces = settings.relation("traces")
        var statements: [String] = []
        if settings.compressAfter > .zero {
            statements.append(
                "select \(functions).add_compression_policy(\(traces), \(settings.compressAfter.sqlInterval), if_not_exists => true)")
        }
        if settings.retention > .zero {
            statements.append(
                "select \(functions).add_retention_policy(\(traces), \(settings.retention.sqlInterval), if_not_exists => true)")
        }
        for aggregate in Aggregate.allCases {
            statements.append(
                """
                select \(functions).add_continuous_aggregate_policy(\(settings.relation(aggregate.rawValue)), \
                start_offset => \(aggregate.startOffset(retention: settings.retention).sqlInterval), \
                end_offset => \(aggregate.endOffset.sqlInterval), schedule_interval => \(aggregate.bucket.sqlInterval), \
                if_not_exists => true)
                """)
        }
        return statements
    }
}
