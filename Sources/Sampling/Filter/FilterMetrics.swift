import Logging
import SelfTelemetry

/// What a filter counts.
struct FilterMetrics: Sendable {
    private let spans: Counter
    private let events: Counter
    private let failures: Counter
    /// Shares the counter's family, not its count: conditions that failed and whose failing is worth a line.
    private let ignored: InternalEvent
    private let propagated: InternalEvent

    init(registry: MetricRegistry, processor: String, logger: Logger) {
        let labels: MetricRegistry.Labels = [(name: "filter", value: processor)]
        spans = registry.counter(
            "otelcol_processor_filter_spans_filtered_total", help: "Number of spans dropped by the filter processor", labels: labels)
        events = registry.counter("collector_filter_events_filtered_total", help: "Span events removed.", labels: labels)
        func failed(_ mode: FilterConfig.ErrorMode) -> Counter {
            registry.counter(
                "collector_filter_condition_failures_total", help: "Conditions that could not be evaluated for a span or an event.",
                labels: labels + [(name: "error_mode", value: mode.rawValue)])
        }
        failures = failed(.silent)
        ignored = InternalEvent(
            counter: failed(.ignore), logger: logger, level: .warning, message: "a filter's condition cannot be evaluated for some spans")
        propagated = InternalEvent(
            counter: failed(.propagate), logger: logger, level: .warning,
            message: "a filter's condition cannot be evaluated for a span; the request is refused")
    }

    /// Adds what was counted locally for one batch.
    func add(_ counts: Counts) {
        if counts.spans > 0 { spans.add(counts.spans) }
        if counts.events > 0 { events.add(counts.events) }
        if counts.silenced > 0 { failures.add(counts.silenced) }
        if counts.ignored > 0, let failure = counts.failure { ignored.emit(counts.ignored, metadata: ["error": "\(failure.message)"]) }
    }

    func refused(_ failure: OTTLFailure) { propagated.emit(metadata: ["error": "\(failure.message)"]) }

    /// Of one batch.
    struct Counts {
        var spans = 0
        var events = 0
        var silenced = 0
        var ignored = 0
        /// The last one ignored.
        var failure: OTTLFailure?
    }
}
