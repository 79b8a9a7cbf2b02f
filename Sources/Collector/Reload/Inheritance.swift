import Logging
import Pipeline
import SelfTelemetry
import Synchronization

/// What replaced exporters could not deliver, on its way to their successors: offered in order, again and again while they are full.
///
/// Bounded by what the exporters held, which was admitted when it came in; the successor's queue is on top of that.
final class Inheritances: Sendable {
    private struct State {
        var deliveries: [Int: Task<Void, Never>] = [:]
        var count = 0
        /// Set at the stop.
        var deadline: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let registry: MetricRegistry
    private let logger: Logger

    init(registry: MetricRegistry, logger: Logger) {
        self.registry = registry
        self.logger = logger
    }

    /// Goes on in the background. `heir` may be replaced meanwhile: the batches follow its outlet.
    func deliver(_ batches: [SpanBatch], to heir: Assembly.Exporter) {
        guard !batches.isEmpty else { return }
        logger.info(
            "the exporter's replacement goes on with what it could not deliver",
            metadata: ["exporter": "\(heir.id)", "items": "\(Self.itemCount(batches))"])
        state.withLock { state in
            let number = state.count
            state.count += 1
            state.deliveries[number] = Task {
                await offer(batches, to: heir)
                self.state.withLock { $0.deliveries[number] = nil }
            }
        }
    }

    private func offer(_ batches: [SpanBatch], to heir: Assembly.Exporter) async {
        var left = batches[...]
        while let batch = left.first {
            // Asked first, so as not to use up the reserve that the exporter keeps for those who do.
            if heir.outlet.admission == .accepted, heir.outlet.consume(batch) == .accepted {
                left.removeFirst()
            } else if state.withLock({ $0.deadline.map { $0 <= .now } ?? false }) {
                return giveUp(Array(left), heir)
            } else {
                try? await Task.sleep(for: ReloadLimits.offerInterval)
            }
        }
    }

    private func giveUp(_ batches: [SpanBatch], _ heir: Assembly.Exporter) {
        let kept = batches.reduce(0) { $0 + $1.keepInLog() }
        if kept > 0 {
            logger.warning(
                "what an exporter's predecessor left is left in the log for the next start",
                metadata: ["exporter": "\(heir.id)", "items": "\(kept)"])
        }
        let lost = Self.itemCount(batches) - kept
        guard lost > 0 else { return }
        registry.counter(
            "otelcol_exporter_send_failed_spans_total", help: "Spans that could not be sent.",
            labels: [(name: "exporter", value: heir.id.description)]
        ).add(lost)
        logger.error("an exporter that was replaced left data that its successor did not take: it is lost", metadata: [
            "exporter": "\(heir.id)", "items": "\(lost)",
        ])
    }

    /// Waits until everything is delivered, or given up at `deadline`.
    func finish(deadline: ContinuousClock.Instant) async {
        let deliveries = state.withLock { state in
            state.deadline = deadline
            return Array(state.deliveries.values)
        }
        for delivery in deliveries { await delivery.value }
    }

    private static func itemCount(_ batches: [SpanBatch]) -> Int { batches.reduce(0) { $0 + $1.itemCount } }
}
