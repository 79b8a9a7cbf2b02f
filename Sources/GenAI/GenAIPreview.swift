import Logging
import OTLPWire
import Pipeline
import SelfTelemetry

/// The `genai` processor without a pipeline: for dry runs.
public final class GenAIPreview {
    private let processor: GenAIProcessor

    private final class Nowhere: Consumer {
        var admission: Outcome { .accepted }
        func consume(_ batch: SpanBatch) -> Outcome { .accepted }
    }

    public init(_ config: GenAIConfig) {
        processor = GenAIProcessor(
            id: "genai", config: config, next: Nowhere(), registry: MetricRegistry(), logger: Logger(label: "genai"))
    }

    /// Lays the LLM records beside the batch's spans.
    public func enrich(_ batch: TraceBatch) { _ = processor.consume(SpanBatch(batch)) }
}
