import SelfTelemetry

/// What the exporter counts beside the metrics that all exporters have.
struct TimescaleDBMetrics: Sendable {
    /// Rows whose `ts` is the arrival time because the span's start was not believed.
    let replacedTimestamps: Counter
    /// jsonb columns that were left empty because of their size.
    let oversizeColumns: Counter
    /// Transactions that were lost in COMMIT and settled.
    let inDoubt: Counter
    /// Spans written the slow way.
    let lookedUp: Counter
    /// COPYs that the database refused for their data.
    let refused: Counter

    init(registry: MetricRegistry, exporter: String) {
        let labels = [(name: "exporter", value: exporter)]
        replacedTimestamps = registry.counter(
            "collector_export_replaced_timestamps_total", help: "Spans stored at their arrival time because their start was implausible.",
            labels: labels)
        oversizeColumns = registry.counter(
            "collector_limit_hits_total", help: "Times a limit was reached.", labels: [(name: "limit", value: "jsonb_column")])
        inDoubt = registry.counter(
            "collector_export_in_doubt_total", help: "Transactions whose COMMIT was not answered and had to be looked up.",
            labels: labels)
        lookedUp = registry.counter(
            "collector_export_looked_up_spans_total", help: "Spans that were inserted only if missing: replayed, or lost in COMMIT.",
            labels: labels)
        refused = registry.counter(
            "collector_export_refused_copies_total", help: "COPYs that the database refused for their data.", labels: labels)
    }

    func note(_ notes: CopyEncoder.Notes) {
        if notes.replacedTimestamps > 0 { replacedTimestamps.add(notes.replacedTimestamps) }
        if notes.oversizeColumns > 0 { oversizeColumns.add(notes.oversizeColumns) }
    }
}
