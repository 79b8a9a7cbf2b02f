import Logging
import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization

/// Rewrites personal data and secrets before anything is buffered. Works on the thread that brings the batch, and holds nothing.
///
/// What it writes depends on the text and the configuration alone, so a request that is read from the write-ahead log again
/// comes out the same; without `hash_key` hashes differ from process to process.
public final class PIIRedactionProcessor: Consumer, Component {
    public let id: String
    private let config: PIIRedactionConfig
    private let redactor: TextRedactor
    private let metrics: PIIRedactionMetrics
    private let next: any Consumer<SpanBatch>
    /// One per thread that has been here at the same time as others: as many as there are event loops.
    private let idle = Mutex(Workers())

    /// Each is used by one thread: whoever has taken it out.
    private struct Workers: @unchecked Sendable {
        var list: [SpanRedactor] = []
    }

    public init(id: String, config: PIIRedactionConfig, next: any Consumer<SpanBatch>, registry: MetricRegistry, logger: Logger) {
        self.id = id
        self.config = config
        self.next = next
        redactor = config.redactor()
        metrics = PIIRedactionMetrics(registry: registry, processor: id, kinds: redactor.kindNames)
        if config.usesRandomKey {
            logger.warning("no hash_key: hashes are made with a random key, and differ from those of other processes and after a restart")
        }
    }

    public func start() async throws {}

    public func shutdown(deadline: ContinuousClock.Instant) async {}

    public var health: ComponentHealth { .ok }

    public var admission: Outcome { next.admission }

    public func consume(_ batch: SpanBatch) -> Outcome {
        var batch = batch
        let worker = idle.withLock { Taken(redactor: $0.list.popLast()) }.redactor ?? SpanRedactor(config, redactor)
        defer {
            worker.reset()
            let taken = Taken(redactor: worker)
            idle.withLock { workers in
                if let redactor = taken.redactor { workers.list.append(redactor) }
            }
        }
        do throws(EditError) {
            for slice in batch.slices { try worker.redact(slice, for: self) }
        } catch {
            metrics.refused()
            return .permanent(.tooLarge)
        }
        metrics.add(values: worker.values.counts, spans: worker.spansChanged)
        if worker.spansChanged > 0 { batch.recountBytes() }
        return next.consume(batch)
    }

    /// On its way into or out of `idle`.
    private struct Taken: @unchecked Sendable {
        let redactor: SpanRedactor?
    }
}
