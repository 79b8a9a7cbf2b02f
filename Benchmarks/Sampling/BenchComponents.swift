import Configuration
import GenAI
import Glibc
import Logging
import OTLPWire
import Pipeline
import Sampling
import SelfTelemetry

/// The `tail_sampling` and `genai` processors of an ordinary configuration file.
struct BenchComponents {
    let sampling: TailSamplingConfig
    /// Lays LLM records beside the spans; nil without such a processor.
    let enrich: ((SpanBatch) -> Void)?

    init(path: String) throws {
        let document = try ConfigurationDocument.load(
            paths: [path],
            builtIn: ConfigurationDocument.BuiltIn(
                types: [
                    .receivers: ["otlp"], .processors: ["batch", "genai", "tail_sampling"],
                    .exporters: ["debug", "nop", "sqlite", "timescaledb"], .extensions: ["health_check"],
                ], signals: ["traces"]), environment: { getenv($0).map { String(cString: $0) } })
        let processors = document.all(.processors)
        let samplers = processors.filter { $0.id.type == "tail_sampling" }.map { TailSamplingConfig(from: $0.section) }
        let enrichers = processors.filter { $0.id.type == "genai" }.map { GenAIConfig(from: $0.section) }
        // The rest of the file is not looked at.
        for kind in ConfigurationDocument.Kind.allCases {
            for component in document.all(kind) where !["tail_sampling", "genai"].contains(component.id.type) {
                component.section.ignore()
            }
        }
        try document.check()
        guard let sampling = samplers.first, samplers.count == 1 else {
            throw BenchFailure(description: "\(path): one tail_sampling processor is wanted, not \(samplers.count)")
        }
        self.sampling = sampling
        enrich = enrichers.first.map { config in
            let processor = GenAIProcessor(
                id: "genai", config: config, next: Sink(), registry: MetricRegistry(), logger: Logger(label: "genai"))
            return { _ = processor.consume($0) }
        }
    }

    private final class Sink: Consumer {
        var admission: Outcome { .accepted }
        func consume(_ batch: SpanBatch) -> Outcome { .accepted }
    }
}
