import Pipeline
import SelfTelemetry

/// Counts the items that pass between two stages, once per batch: `otelcol_processor_incoming_items` and `_outgoing_items`.
final class ItemCounter<Batch: TelemetryBatch>: Consumer {
    private let next: any Consumer<Batch>
    private let counter: Counter

    init(_ counter: Counter, next: any Consumer<Batch>) {
        self.counter = counter
        self.next = next
    }

    var admission: Outcome { next.admission }

    func consume(_ batch: Batch) -> Outcome {
        let items = batch.itemCount
        let outcome = next.consume(batch)
        if outcome == .accepted { counter.add(items) }
        return outcome
    }
}
