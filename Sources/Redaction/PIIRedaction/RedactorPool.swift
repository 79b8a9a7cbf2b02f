import OTLPWire
import Pipeline
import Synchronization

/// Redactors for the threads that need one at the same time, each with buffers of its own that are used again: as many as there are
/// event loops.
final class RedactorPool: Sendable {
    private let config: PIIRedactionConfig
    private let redactor: TextRedactor
    private let metrics: PIIRedactionMetrics
    private let idle = Mutex(Workers())

    /// Each is used by one thread: whoever has taken it out.
    private struct Workers: @unchecked Sendable {
        var list: [SpanRedactor] = []
    }

    /// On its way into or out of `idle`.
    private struct Taken: @unchecked Sendable {
        let redactor: SpanRedactor?
    }

    init(_ config: PIIRedactionConfig, _ redactor: TextRedactor, _ metrics: PIIRedactionMetrics) {
        self.config = config
        self.redactor = redactor
        self.metrics = metrics
    }

    /// Redacts the slices and counts what was found.
    ///
    /// - Parameter stage: whose work it is; what spans share is done once for it.
    /// - Returns: how many spans have changed.
    func redact(_ slices: some Sequence<SpanSlice>, for stage: AnyObject) throws(EditError) -> Int {
        let worker = idle.withLock { Taken(redactor: $0.list.popLast()) }.redactor ?? SpanRedactor(config, redactor)
        defer {
            worker.reset()
            let taken = Taken(redactor: worker)
            idle.withLock { workers in
                if let redactor = taken.redactor { workers.list.append(redactor) }
            }
        }
        do throws(EditError) {
            for slice in slices { try worker.redact(slice, for: stage) }
        } catch {
            metrics.refused()
            throw error
        }
        metrics.add(values: worker.values.counts, spans: worker.spansChanged)
        return worker.spansChanged
    }
}
