/// Hands each batch to several consumers. All are asked first: if one is not ready, nobody gets the batch, so a client that
/// sends again does not double it where it had arrived. A consumer that was ready takes what comes right after
/// (`Consumer.admission`); if one refuses all the same, the outcome is its refusal: doubled somewhere rather than lost.
public final class FanOut<Batch: TelemetryBatch>: Consumer {
    private let consumers: [any Consumer<Batch>]

    private init(_ consumers: [any Consumer<Batch>]) {
        self.consumers = consumers
    }

    /// The only consumer itself when there is one.
    public static func make(_ consumers: [any Consumer<Batch>]) -> any Consumer<Batch> {
        consumers.count == 1 ? consumers[0] : FanOut(consumers)
    }

    public var admission: Outcome {
        guard !consumers.isEmpty else { return .permanent(.noPipeline) }
        for consumer in consumers {
            let outcome = consumer.admission
            if outcome != .accepted { return outcome }
        }
        return .accepted
    }

    public func consume(_ batch: Batch) -> Outcome {
        let ready = admission
        guard ready == .accepted else { return ready }
        var worst = Outcome.accepted
        var isTaken = false
        for consumer in consumers {
            let outcome = consumer.consume(batch)
            if outcome == .accepted { isTaken = true } else { worst = outcome }
            // Nobody has it yet, so nobody gets it.
            if !isTaken { return worst }
        }
        return worst
    }
}
