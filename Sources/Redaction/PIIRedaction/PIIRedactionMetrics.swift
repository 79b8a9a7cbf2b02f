import SelfTelemetry

/// What a redacting processor counts.
struct PIIRedactionMetrics: Sendable {
    /// By index of `TextRedactor.kindNames`.
    private let values: [Counter]
    private let spans: Counter
    /// Batches refused because there was no room.
    let refused: Counter

    init(registry: MetricRegistry, processor: String, kinds: [String]) {
        let labels = [(name: "processor", value: processor)]
        values = kinds.map { kind in
            registry.counter(
                "collector_redaction_values_total", help: "Sensitive values rewritten or removed.",
                labels: labels + [(name: "kind", value: kind)])
        }
        spans = registry.counter("collector_redaction_spans_total", help: "Spans in which something was rewritten.", labels: labels)
        refused = registry.counter(
            "collector_redaction_refused_batches_total", help: "Batches refused because there was no room to rewrite them.", labels: labels)
    }

    /// Adds what was counted locally for one batch.
    func add(values counts: [Int], spans changed: Int) {
        for (counter, count) in zip(values, counts) where count > 0 { counter.add(count) }
        if changed > 0 { spans.add(changed) }
    }
}
