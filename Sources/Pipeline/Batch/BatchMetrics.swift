import SelfTelemetry

/// The Go collector's metrics of its batch processor.
struct BatchMetrics: Sendable {
    let size: Histogram
    let sizeTriggers: Counter
    let timeoutTriggers: Counter

    init(registry: MetricRegistry, processor: String) {
        let labels = [(name: "processor", value: processor)]
        size = registry.histogram(
            "otelcol_processor_batch_batch_send_size", help: "Items per batch sent.", labels: labels, bounds: Histogram.sizeBounds)
        sizeTriggers = registry.counter(
            "otelcol_processor_batch_batch_size_trigger_send_total", help: "Batches sent because they were full.", labels: labels)
        timeoutTriggers = registry.counter(
            "otelcol_processor_batch_timeout_trigger_send_total", help: "Batches sent because of the timeout.", labels: labels)
    }
}
