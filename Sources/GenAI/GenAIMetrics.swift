import SelfTelemetry
import Synchronization

/// What was used of one model since the start: `collector_genai_{spans,tokens,cost_usd}_total`.
final class ModelUsage: Sendable {
    let spans: Counter
    let promptTokens: Counter
    let completionTokens: Counter
    let unpricedSpans: Counter
    private let cost = Mutex(0.0)

    init(spans: Counter, promptTokens: Counter, completionTokens: Counter, unpricedSpans: Counter) {
        self.spans = spans
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.unpricedSpans = unpricedSpans
    }

    var costUSD: Double { cost.withLock { $0 } }

    func add(costUSD: Double) {
        cost.withLock { $0 += costUSD }
    }
}

/// The GenAI stage's own metrics. Series per provider and model, `GenAILimits.metricModelsMax` of them; what comes later is
/// counted under the names `other`.
final class GenAIMetrics: Sendable {
    let duplicateSpans: Counter
    /// Spans left without columns because their request had filled its memory.
    let skippedSpans: Counter
    let droppedContent: Counter

    private let registry: MetricRegistry
    private let processor: String
    private let models = Mutex<[String: ModelUsage]>([:])

    init(registry: MetricRegistry, processor: String) {
        self.registry = registry
        self.processor = processor
        let labels: MetricRegistry.Labels = [(name: "processor", value: processor)]
        duplicateSpans = registry.counter(
            "collector_genai_duplicate_spans_total", help: "Spans of an LLM call that another span tells of as well.", labels: labels)
        skippedSpans = registry.counter(
            "collector_genai_skipped_spans_total", help: "Spans left without LLM columns because the request had no memory left.",
            labels: labels)
        droppedContent = registry.counter(
            "collector_genai_dropped_content_total", help: "Attributes and events with prompts or answers that were left out.",
            labels: labels)
    }

    func usage(provider: String, model: String) -> ModelUsage {
        models.withLock { models in
            let provider = provider.isEmpty ? "unknown" : provider
            let model = model.isEmpty ? "unknown" : model
            let key = "\(provider)\u{0}\(model)"
            if let known = models[key] { return known }
            let isOverLimit = models.count >= GenAILimits.metricModelsMax
            if isOverLimit, let other = models[""] { return other }
            let usage = isOverLimit ? make(provider: "other", model: "other") : make(provider: provider, model: model)
            models[isOverLimit ? "" : key] = usage
            return usage
        }
    }

    private func make(provider: String, model: String) -> ModelUsage {
        let labels: MetricRegistry.Labels = [
            (name: "processor", value: processor), (name: "provider", value: provider), (name: "model", value: model),
        ]
        func tokens(_ type: String) -> Counter {
            registry.counter(
                "collector_genai_tokens_total", help: "Tokens of LLM calls, as their spans tell.",
                labels: labels + [(name: "type", value: type)])
        }
        let usage = ModelUsage(
            spans: registry.counter("collector_genai_spans_total", help: "Spans of LLM calls.", labels: labels),
            promptTokens: tokens("input"), completionTokens: tokens("output"),
            unpricedSpans: registry.counter(
                "collector_genai_unpriced_spans_total", help: "Spans of LLM calls with tokens whose model has no known price.",
                labels: labels))
        registry.observe("collector_genai_cost_usd_total", help: "Cost of LLM calls, US dollars.", labels: labels, monotonic: true) {
            usage.costUSD
        }
        return usage
    }
}
