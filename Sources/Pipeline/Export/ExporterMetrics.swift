import SelfTelemetry

/// The Go collector's exporter metrics for one exporter and signal.
struct ExporterMetrics: Sendable {
    let sent: Counter
    let sendFailed: Counter
    let enqueueFailed: Counter
    let inFlight: Gauge
    let duration: Histogram

    /// - Parameter items: `spans`, `metric_points` or `log_records`.
    init(registry: MetricRegistry, exporter: String, items: String) {
        let labels = [(name: "exporter", value: exporter)]
        sent = registry.counter("otelcol_exporter_sent_\(items)_total", help: "Items written.", labels: labels)
        sendFailed = registry.counter("otelcol_exporter_send_failed_\(items)_total", help: "Items given up.", labels: labels)
        enqueueFailed = registry.counter(
            "otelcol_exporter_enqueue_failed_\(items)_total", help: "Items refused because the queue was full.", labels: labels)
        inFlight = registry.gauge("otelcol_exporter_in_flight_requests", help: "Batches being written.", labels: labels)
        duration = registry.histogram(
            "collector_export_duration_seconds", help: "Time to write a batch, without waits between attempts.", labels: labels,
            bounds: Histogram.durationBounds)
    }
}
