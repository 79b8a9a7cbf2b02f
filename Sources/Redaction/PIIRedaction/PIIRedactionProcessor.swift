import Logging
import Pipeline
import SelfTelemetry

/// Rewrites personal data and secrets before anything is buffered. Works on the thread that brings the batch, and holds nothing.
///
/// What it writes depends on the text and the configuration alone, so a request that is read from the write-ahead log again
/// comes out the same; without `hash_key` hashes differ from process to process. Requests that were redacted in the same way before
/// they were logged (`RequestRedactor`) are passed on: doing it twice would hash hashes.
public final class PIIRedactionProcessor: Consumer, Component {
    private let stage: EditingProcessor<SpanRedactor>

    public init(id: String, config: PIIRedactionConfig, next: any Consumer<SpanBatch>, registry: MetricRegistry, logger: Logger) {
        let redactor = config.redactor()
        let metrics = PIIRedactionMetrics(registry: registry, processor: id, kinds: redactor.kindNames)
        let digest = config.digest
        stage = EditingProcessor(id: id, next: next, refused: metrics.refused, isDone: { $0.rewrittenBy == digest }) {
            SpanRedactor(config, redactor, metrics)
        }
        if config.usesRandomKey {
            logger.warning("no hash_key: hashes are made with a random key, and differ from those of other processes and after a restart")
        }
    }

    public var id: String { stage.id }

    public func start() async throws {}

    public func shutdown(deadline: ContinuousClock.Instant) async {}

    public var health: ComponentHealth { .ok }

    public var admission: Outcome { stage.admission }

    public func consume(_ batch: SpanBatch) -> Outcome { stage.consume(batch) }
}
