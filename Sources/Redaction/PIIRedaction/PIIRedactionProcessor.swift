import Logging
import OTLPWire
import Pipeline
import SelfTelemetry

/// Rewrites personal data and secrets before anything is buffered. Works on the thread that brings the batch, and holds nothing.
///
/// What it writes depends on the text and the configuration alone, so a request that is read from the write-ahead log again
/// comes out the same; without `hash_key` hashes differ from process to process. Requests that were redacted in the same way before
/// they were logged (`RequestRedactor`) are passed on: doing it twice would hash hashes.
public final class PIIRedactionProcessor: Consumer, Component {
    public let id: String
    private let pool: RedactorPool
    private let digest: UInt64
    private let next: any Consumer<SpanBatch>

    public init(id: String, config: PIIRedactionConfig, next: any Consumer<SpanBatch>, registry: MetricRegistry, logger: Logger) {
        self.id = id
        self.next = next
        digest = config.digest
        let redactor = config.redactor()
        let metrics = PIIRedactionMetrics(registry: registry, processor: id, kinds: redactor.kindNames)
        pool = RedactorPool(config, redactor, metrics)
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
        let changed: Int
        do throws(EditError) {
            changed = try pool.redact(batch.slices.lazy.filter { [digest] in $0.batch.rewrittenBy != digest }, for: self)
        } catch {
            return .permanent(.tooLarge)
        }
        if changed > 0 { batch.recountBytes() }
        return next.consume(batch)
    }
}
