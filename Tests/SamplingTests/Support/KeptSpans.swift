import OTLPWire
import Synchronization

@testable import Pipeline

/// The end of a pipeline: takes what it is told to take, and remembers it.
final class KeptSpans: Consumer {
    /// A span as an exporter would write it.
    struct Kept: Equatable {
        var span: UInt64
        var count: Double
        var reason: String?
        var traceState: String
    }

    private struct State {
        var batches: [SpanBatch] = []
        var refusal: Outcome?
    }

    private let state = Mutex(State())

    var admission: Outcome { state.withLock { $0.refusal ?? .accepted } }

    func consume(_ batch: SpanBatch) -> Outcome {
        state.withLock { state in
            if let refusal = state.refusal { return refusal }
            state.batches.append(batch)
            return .accepted
        }
    }

    func refuse(_ outcome: Outcome?) { state.withLock { $0.refusal = outcome } }

    var batches: [SpanBatch] { state.withLock { $0.batches } }
    func empty() { state.withLock { $0.batches = [] } }

    var spans: [Kept] { batches.flatMap(Self.read) }

    static func read(_ batch: SpanBatch) -> [Kept] {
        var spans: [Kept] = []
        batch.forEach { reference in
            spans.append(
                Kept(
                    span: reference.span.spanID.word, count: reference.adjustedCount, reason: reference.decision?.reason,
                    traceState: reference.withTraceState { String(decoding: $0, as: UTF8.self) }))
        }
        return spans
    }
}
