import Logging
import Pipeline
import SelfTelemetry
import Synchronization

/// What replaced stages could not deliver, on its way to whoever comes after: offered in order, again and again while that is full.
///
/// Bounded by what the stages held, which was admitted when it came in; the successor's queue is on top of that.
final class Inheritances: Sendable {
    private struct State {
        var deliveries: [Int: Task<Void, Never>] = [:]
        var count = 0
        /// Set at the stop.
        var deadline: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let lostItems: Counter
    private let logger: Logger

    init(registry: MetricRegistry, logger: Logger) {
        lostItems = registry.counter(
            "collector_config_reload_lost_items_total", help: "Items that replaced components left and nobody took before the stop.")
        self.logger = logger
    }

    /// Goes on in the background.
    ///
    /// - Parameters:
    ///   - heir: a link or what is behind one, so that it may be replaced meanwhile.
    ///   - place: of the stage that left the batches.
    func deliver(_ batches: [SpanBatch], to heir: TraceConsumer, from place: String) {
        guard !batches.isEmpty else { return }
        logger.info(
            "a replaced component's successor goes on with what it could not deliver",
            metadata: ["component": "\(place)", "items": "\(Self.itemCount(batches))"])
        state.withLock { state in
            let number = state.count
            state.count += 1
            state.deliveries[number] = Task {
                await offer(batches, to: heir, from: place)
                self.state.withLock { $0.deliveries[number] = nil }
            }
        }
    }

    private func offer(_ batches: [SpanBatch], to heir: TraceConsumer, from place: String) async {
        var left = batches[...]
        while let batch = left.first {
            // Asked first, so as not to use up the reserve that the exporter keeps for those who do.
            if heir.admission == .accepted, heir.consume(batch) == .accepted {
                left.removeFirst()
            } else if state.withLock({ $0.deadline.map { $0 <= .now } ?? false }) {
                return giveUp(Array(left), place)
            } else {
                try? await Task.sleep(for: ReloadLimits.offerInterval)
            }
        }
    }

    private func giveUp(_ batches: [SpanBatch], _ place: String) {
        let kept = batches.reduce(0) { $0 + $1.keepInLog() }
        if kept > 0 {
            logger.warning(
                "what a replaced component left was not taken before the stop: left in the write-ahead log for the next start",
                metadata: ["component": "\(place)", "items": "\(kept)"])
        }
        let lost = Self.itemCount(batches) - kept
        guard lost > 0 else { return }
        lostItems.add(lost)
        logger.error(
            "what a replaced component left was not taken before the stop, data is lost",
            metadata: ["component": "\(place)", "items": "\(lost)"])
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
