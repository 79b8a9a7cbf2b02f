import Logging
import SelfTelemetry

/// What a head sampler counts. The contrib has renamed its counter; both names are served, so dashboards for either work.
struct ProbabilisticSamplerMetrics: Sendable {
    /// Two per `HeadSampler.Source`: dropped, kept.
    private let spans: [[Counter]]
    /// By `HeadSampler.Failure`.
    private let failures: [InternalEvent]

    private static let names = [
        "otelcol_processor_probabilistic_sampler_count_traces_sampled_total",
        "otelcol_processor_probabilistic_sampler_count_spans_processed_total",
    ]

    init(registry: MetricRegistry, processor: String, failClosed: Bool, logger: Logger) {
        let labels: MetricRegistry.Labels = [(name: "processor", value: processor)]
        spans = Self.names.map { name in
            HeadSampler.Source.allCases.flatMap { source in
                [false, true].map { isKept in
                    registry.counter(
                        name, help: "Spans that were sampled or not, by where the randomness came from.",
                        labels: labels + [(name: "policy", value: source.label), (name: "sampled", value: "\(isKept)")])
                }
            }
        }
        let fate = failClosed ? "dropped (fail_closed: true)" : "kept (fail_closed: false)"
        failures = HeadSampler.Failure.allCases.map { failure in
            InternalEvent(
                counter: registry.counter(
                    "collector_probabilistic_sampler_failures_total", help: "Spans whose tracestate cannot be used for sampling.",
                    labels: labels + [(name: "reason", value: failure.label)]),
                logger: logger, level: .warning, message: "the tracestate of spans cannot be used for sampling; they are \(fate)")
        }
    }

    /// Adds what was counted locally for one batch.
    func add(_ counts: Counts) {
        for family in spans {
            for (counter, count) in zip(family, counts.spans) where count > 0 { counter.add(count) }
        }
        for failure in HeadSampler.Failure.allCases where counts.failures[failure.rawValue] > 0 {
            failures[failure.rawValue].emit(counts.failures[failure.rawValue], metadata: ["reason": "\(failure.label)"])
        }
    }

    /// Of one batch.
    struct Counts {
        fileprivate var spans = [Int](repeating: 0, count: 2 * HeadSampler.Source.allCases.count)
        fileprivate var failures = [Int](repeating: 0, count: HeadSampler.Failure.allCases.count)

        @inline(__always)
        mutating func add(_ verdict: HeadSampler.Verdict) {
            spans[2 * verdict.source.rawValue + (verdict.isKept ? 1 : 0)] += 1
            if let failure = verdict.failure { failures[failure.rawValue] += 1 }
        }
    }
}
