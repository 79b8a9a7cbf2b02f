import Pipeline

/// Gives a pipeline that changes spans its own records of them, where another pipeline gets the same requests.
final class OwnCopy: Consumer {
    private let next: TraceConsumer

    init(next: TraceConsumer) {
        self.next = next
    }

    var admission: Outcome { next.admission }

    func consume(_ batch: SpanBatch) -> Outcome {
        // Receivers hand on whole requests, one at a time.
        var copies = batch.slices.map { SpanBatch($0.batch.copy()) }
        guard var whole = copies.first else { return next.consume(batch) }
        copies.removeFirst()
        for copy in copies { whole.append(copy) }
        return next.consume(whole)
    }
}
