import SelfTelemetry

/// The Go collector's metrics of its processor of this name.
struct GroupByTraceMetrics: Sendable {
    let tracesHeld: Gauge
    let tracesReleased: Counter
    let spansReleased: Counter
    let tracesEvicted: Counter

    init(registry: MetricRegistry, processor: String, tracesMax: Int) {
        let labels = [(name: "processor", value: processor)]
        let prefix = "otelcol_processor_groupbytrace_"
        tracesHeld = registry.gauge(prefix + "num_traces_in_memory", help: "Traces held at this moment.", labels: labels)
        tracesReleased = registry.counter(prefix + "traces_released_total", help: "Traces sent on, early ones included.", labels: labels)
        spansReleased = registry.counter(prefix + "spans_released_total", help: "Spans sent on.", labels: labels)
        tracesEvicted = registry.counter(
            prefix + "traces_evicted_total", help: "Traces sent on early because of num_traces or the memory limit.", labels: labels)
        registry.gauge(prefix + "conf_num_traces", help: "Traces that may be held.", labels: labels).set(tracesMax)
    }
}
