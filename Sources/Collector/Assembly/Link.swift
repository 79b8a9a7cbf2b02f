import Pipeline
import Synchronization

/// The connection from one stage to the next, whose far end can be exchanged while batches pass: what a reload rewires.
///
/// Invariant: a batch goes to the old end or to the new one, never to both, and once `connect` has returned no call is at work in the
/// old end, so that stage can be shut down without refusing anybody. One short lock per batch.
final class Link<Batch: TelemetryBatch>: Consumer {
    private final class End: Sendable {
        let consumer: any Consumer<Batch>
        /// Calls of `consume` that are in it now.
        let callCount = Atomic<Int>(0)

        init(_ consumer: any Consumer<Batch>) {
            self.consumer = consumer
        }
    }

    private let end: Mutex<End>

    init(_ next: any Consumer<Batch>) {
        end = Mutex(End(next))
    }

    var next: any Consumer<Batch> { end.withLock { $0 }.consumer }

    var admission: Outcome { next.admission }

    func consume(_ batch: Batch) -> Outcome {
        // Counted inside the lock: `connect` sees every call that got hold of the old end.
        let current = end.withLock { end in
            end.callCount.wrappingAdd(1, ordering: .relaxed)
            return end
        }
        defer { current.callCount.wrappingSubtract(1, ordering: .releasing) }
        return current.consumer.consume(batch)
    }

    /// Everything from now on goes to `next`. Returns when the calls that are at work in the old end have come back.
    func connect(to next: any Consumer<Batch>) async {
        let new = End(next)
        let old = end.withLock { end in
            defer { end = new }
            return end
        }
        while old.callCount.load(ordering: .acquiring) > 0 { try? await Task.sleep(for: ReloadLimits.callPollInterval) }
    }
}
