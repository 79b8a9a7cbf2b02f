import Configuration
import Redaction

/// Which `pii_redaction` processors of a configuration a dry run is of.
struct RedactionChoice {
    struct Stage {
        let id: ComponentID
        let config: PIIRedactionConfig
    }

    /// In the order a span meets them; at least one.
    let stages: [Stage]

    /// - Parameters:
    ///   - pipeline: id of the pipeline whose processors are wanted; nil where it makes no difference which.
    ///   - processor: id of the only processor wanted.
    init(_ blueprints: Blueprints, pipeline: String?, processor: String?) throws(CommandFailure) {
        let chains = try Self.chains(blueprints, pipeline)
        if let processor {
            let known = Topology.distinct(chains.flatMap(\.stages.ids))
            guard let stage = chains.flatMap(\.stages).first(where: { $0.id.description == processor }) else {
                throw CommandFailure("--processor: '\(processor)' is not one that redacts; choose from: \(Self.list(known))")
            }
            stages = [stage]
            return
        }
        guard Set(chains.map(\.stages.ids)).count == 1, let only = chains.first else {
            let lines = chains.map { "  --pipeline \($0.pipeline)   (\(Self.list($0.stages.ids)))" }
            throw CommandFailure("pipelines redact differently; choose one:\n" + lines.joined(separator: "\n"))
        }
        stages = only.stages
    }

    private typealias Chain = (pipeline: ComponentID, stages: [Stage])

    /// The pipelines that redact, with the processors that do.
    private static func chains(_ blueprints: Blueprints, _ wanted: String?) throws(CommandFailure) -> [Chain] {
        let all: [Chain] = blueprints.pipelines.map { pipeline in
            (
                pipeline.id,
                pipeline.processors.compactMap { id in blueprints.processors[id]?.redaction.map { Stage(id: id, config: $0) } }
            )
        }
        let redacting = all.filter { !$0.stages.isEmpty }
        guard !redacting.isEmpty else { throw CommandFailure("no pipeline has a pii_redaction processor: there is nothing to show") }
        guard let wanted else { return redacting }
        let chosen = redacting.filter { $0.pipeline.description == wanted }
        guard !chosen.isEmpty else {
            let isKnown = all.contains { $0.pipeline.description == wanted }
            throw CommandFailure(
                "--pipeline: '\(wanted)' \(isKnown ? "does not redact" : "is not configured"); choose from: "
                    + list(redacting.map(\.pipeline)))
        }
        return chosen
    }

    private static func list(_ ids: [ComponentID]) -> String { ids.map(\.description).joined(separator: ", ") }
}

extension [RedactionChoice.Stage] {
    fileprivate var ids: [ComponentID] { map(\.id) }
}
