import SelfTelemetry

/// What `redaction` counts.
struct KeyRedactionMetrics: Sendable {
    let removed: Counter
    let masked: Counter
    let refused: Counter

    init(registry: MetricRegistry, processor: String) {
        func attributes(_ fate: String) -> Counter {
            registry.counter(
                "collector_redaction_attributes_total", help: "Attributes removed, or masked in part or whole, for their keys or values.",
                labels: [(name: "processor", value: processor), (name: "fate", value: fate)])
        }
        removed = attributes("removed")
        masked = attributes("masked")
        refused = registry.counter(
            "collector_redaction_refused_batches_total", help: "Batches refused because there was no room to rewrite them.",
            labels: [(name: "processor", value: processor)])
    }
}
