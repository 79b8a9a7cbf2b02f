import Logging
import Pipeline
import SelfTelemetry
import Synchronization

/// What a replaced exporter could not deliver, on its way to the successor: offered in order, again and again while that is full.
///
/// Bounded by what the exporter held, which was admitted when it came in.
final class Inheritance: Sendable {
    private let batches = Mutex<[SpanBatch]>([])

    func add(_ batch: SpanBatch) {
        batches.withLock { $0.append(batch) }
    }

    var itemCount: Int { batches.withLock { $0.reduce(0) { $0 + $1.itemCount } } }

    /// Offers until everything is taken or `isOver` says so.
    ///
    /// - Returns: what nobody took.
    func deliver(to heir: TraceConsumer, isOver: @Sendable () -> Bool) async -> [SpanBatch] {
        while let batch = batches.withLock({ $0.first }) {
            // Asked first, so as not to use up the reserve that the exporter keeps for those who do.
            if heir.admission == .accepted, heir.consume(batch) == .accepted {
                batches.withLock { _ = $0.removeFirst() }
            } else if isOver() {
                break
            } else {
                try? await Task.sleep(for: ReloadLimits.offerInterval)
            }
        }
        return batches.withLock { batches in
            defer { batches = [] }
            return batches
        }
    }
}
