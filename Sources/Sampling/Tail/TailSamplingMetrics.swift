import Logging
import SelfTelemetry
import Synchronization

/// The Go collector's metrics of its processor of this name, and what was spent on what was kept and dropped.
final class TailSamplingMetrics: Sendable {
    /// Counts of one policy's decisions.
    private struct Policy: Sendable {
        let traces: Counter
        let spans: Counter
    }

    let tracesHeld: Gauge
    private let newTraces: Counter
    private let keptTraces: Counter
    private let droppedTraces: Counter
    private let failures: Counter
    private let timerMilliseconds: Histogram
    private let ageSeconds: Histogram
    private let lateKeptSpans: Counter
    private let lateDroppedSpans: Counter
    /// By cause of an early decision.
    private let early: [DecisionCause: Counter]
    private let keepers: [Policy]
    private let droppers: [Policy]
    private let other: (kept: Policy, dropped: Policy)
    private let spent = Mutex((kept: 0.0, dropped: 0.0))
    let notesLost: InternalEvent
    let refusedForGood: InternalEvent

    private static let prefix = "otelcol_processor_tail_sampling_"
    /// Milliseconds.
    private static let timerBounds: [Double] = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]
    private static let ageBounds: [Double] = [1, 2, 5, 10, 20, 30, 60, 90, 120, 180, 300, 600]

    init(registry: MetricRegistry, processor: String, policies: [String], logger: Logger) {
        let own: MetricRegistry.Labels = [(name: "processor", value: processor)]
        func counter(_ name: String, _ help: String, _ labels: MetricRegistry.Labels = []) -> Counter {
            registry.counter(Self.prefix + name, help: help, labels: own + labels)
        }
        func decision(_ isKept: Bool, _ noun: String = "sampled") -> MetricRegistry.Labels {
            [(name: "sampled", value: isKept ? "true" : "false"), (name: "decision", value: isKept ? "sampled" : noun)]
        }
        func policy(_ name: String, isKept: Bool) -> Policy {
            let labels = [(name: "policy", value: name)] + decision(isKept, name.isEmpty ? "not_sampled" : "dropped")
            return Policy(
                traces: counter("count_traces_sampled_total", "Traces by the policy that decided about them.", labels),
                spans: counter("count_spans_sampled_total", "Spans by the policy that decided about their trace.", labels))
        }
        tracesHeld = registry.gauge(Self.prefix + "sampling_traces_on_memory", help: "Undecided traces.", labels: own)
        newTraces = counter("new_trace_id_received_total", "Traces whose first span has come.")
        keptTraces = counter("global_count_traces_sampled_total", "Traces decided about.", decision(true))
        droppedTraces = counter("global_count_traces_sampled_total", "Traces decided about.", decision(false, "not_sampled"))
        failures = counter("sampling_policy_evaluation_error_total", "Conditions that could not be evaluated for a span.")
        timerMilliseconds = registry.histogram(
            Self.prefix + "sampling_decision_timer_latency", help: "Time that a round of decisions took, milliseconds.", labels: own,
            bounds: Self.timerBounds)
        ageSeconds = registry.histogram(
            Self.prefix + "sampling_trace_removal_age", help: "Time from a trace's first span to its decision, seconds.", labels: own,
            bounds: Self.ageBounds)
        lateKeptSpans = counter(
            "early_releases_from_cache_decision_total", "Spans that came after their trace was decided about.",
            [(name: "sampled", value: "true")])
        lateDroppedSpans = counter(
            "early_releases_from_cache_decision_total", "Spans that came after their trace was decided about.",
            [(name: "sampled", value: "false")])
        early = [
            .overflow: counter(
                "sampling_trace_dropped_too_early_total",
                "Traces decided about before their time because of num_traces or max_memory_mib."),
            .tooLarge: counter("traces_dropped_too_large_total", "Traces dropped for maximum_trace_size_bytes."),
            .early: counter("traces_decided_early_total", "Traces decided about as soon as nothing could change the decision."),
            .shutdown: counter("traces_decided_at_shutdown_total", "Traces decided about because the collector stopped."),
        ]
        keepers = policies.map { policy($0, isKept: true) }
        droppers = policies.map { policy($0, isKept: false) }
        other = (policy("former", isKept: true), policy("", isKept: false))
        notesLost = InternalEvent(
            counter: counter("decisions_not_logged_total", "Decisions carried out although the write-ahead log did not take them."),
            logger: logger, level: .warning,
            message: "decisions could not be written to the write-ahead log; after a crash some traces may be decided about anew")
        refusedForGood = InternalEvent(
            counter: counter("refused_spans_total", "Kept spans that the next stage refused for good."), logger: logger, level: .error,
            message: "the next stage refused kept spans for good, data is lost")
        for (isKept, name) in [(true, "sampled_usd_total"), (false, "dropped_usd_total")] {
            registry.observe(
                Self.prefix + name, help: "Cost of the LLM calls in traces that were \(isKept ? "kept" : "dropped"), US dollars.",
                labels: own, monotonic: true
            ) { [weak self] in
                self?.spent.withLock { isKept ? $0.kept : $0.dropped }
            }
        }
    }

    func observe(timer: Duration) { timerMilliseconds.observe(timer / .milliseconds(1)) }

    func count(_ output: TailOutput) {
        if output.newTraces > 0 { newTraces.add(output.newTraces) }
        if output.failures > 0 { failures.add(output.failures) }
        guard !output.decided.isEmpty else { return }
        var (kept, dropped, keptUSD, droppedUSD) = (0, 0, 0.0, 0.0)
        for trace in output.decided {
            if trace.cause == .late {
                (trace.decision.isKept ? lateKeptSpans : lateDroppedSpans).add(trace.spanCount)
                continue
            }
            let policy = series(trace.decision)
            policy.traces.add()
            policy.spans.add(trace.spanCount)
            early[trace.cause]?.add()
            ageSeconds.observe(Double(trace.age) / 1e9)
            if trace.decision.isKept { kept += 1 } else { dropped += 1 }
            if trace.decision.isKept { keptUSD += trace.costUSD } else { droppedUSD += trace.costUSD }
        }
        keptTraces.add(kept)
        droppedTraces.add(dropped)
        spent.withLock {
            $0.kept += keptUSD
            $0.dropped += droppedUSD
        }
    }

    private func series(_ decision: TailDecision) -> Policy {
        guard let policy = decision.policy else { return other.dropped }
        let own = decision.isKept ? keepers : droppers
        return policy < own.count ? own[policy] : other.kept
    }
}
