import SelfTelemetry

/// What `attributes` and `resource` count.
struct AttributeActionMetrics: Sendable {
    let changed: Counter
    let refused: Counter

    init(registry: MetricRegistry, processor: String) {
        let labels = [(name: "processor", value: processor)]
        changed = registry.counter(
            "collector_attribute_actions_changed_total", help: "Spans or resources whose attributes were changed.", labels: labels)
        refused = registry.counter(
            "collector_attribute_actions_refused_batches_total",
            help: "Batches refused because there was no room to write the changes.", labels: labels)
    }
}
