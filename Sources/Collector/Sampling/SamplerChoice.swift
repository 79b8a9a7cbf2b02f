import Configuration
import GenAI
import Sampling

/// Which `tail_sampling` processor of a configuration is to be explained, and what comes before it.
struct SamplerChoice {
    let id: ComponentID
    let config: TailSamplingConfig
    /// The `genai` processors in front of it: costs and tokens come from them.
    let enrichers: [GenAIConfig]

    /// - Parameters:
    ///   - pipeline: id of its pipeline; nil where there is no choice.
    ///   - processor: its id; nil where there is no choice.
    init(_ blueprints: Blueprints, pipeline: String?, processor: String?) throws(CommandFailure) {
        var found: [(pipeline: ComponentID, choice: SamplerChoice)] = []
        for chain in blueprints.pipelines {
            var enrichers: [GenAIConfig] = []
            for id in chain.processors {
                if let config = blueprints.processors[id]?.genAI { enrichers.append(config) }
                guard let config = blueprints.processors[id]?.tailSampling else { continue }
                found.append((chain.id, SamplerChoice(id: id, config: config, enrichers: enrichers)))
            }
        }
        guard !found.isEmpty else { throw CommandFailure("no pipeline has a tail_sampling processor: there is nothing to explain") }
        let chosen = found.filter { entry in
            (pipeline.map { entry.pipeline.description == $0 } ?? true) && (processor.map { entry.choice.id.description == $0 } ?? true)
        }
        guard chosen.count == 1, let only = chosen.first else {
            let lines = found.map { "  --pipeline \($0.pipeline) --processor \($0.choice.id)" }
            throw CommandFailure(
                "\(chosen.isEmpty ? "there is no such sampler" : "several samplers fit"); choose one:\n" + lines.joined(separator: "\n"))
        }
        self = only.choice
    }

    private init(id: ComponentID, config: TailSamplingConfig, enrichers: [GenAIConfig]) {
        self.id = id
        self.config = config
        self.enrichers = enrichers
    }
}
