import Configuration

/// What has to be done to get from one configuration to another with as little disturbance as possible. Pure.
///
/// A component is kept when its id and its effective configuration (defaults filled in, references expanded) are the same: it goes on
/// with its connections, its queue and what it holds. Whoever has a changed neighbour is rewired, not replaced.
///
/// Processors belong to a pipeline. When those that both configurations have in common changed their order, none of that pipeline is
/// kept: spans that wait in a kept one would skip a stage, or meet it twice, although both configurations want it once.
struct ReloadPlan: Equatable, Sendable {
    struct Change: Equatable, Sendable {
        var kept: [ComponentID] = []
        /// New ids.
        var added: [ComponentID] = []
        /// Same id, different configuration: a new one takes the place of the old one.
        var replaced: [ComponentID] = []
        /// Gone without a successor.
        var removed: [ComponentID] = []

        var made: [ComponentID] { added + replaced }
        var retired: [ComponentID] { replaced + removed }
        var isEmpty: Bool { made.isEmpty && removed.isEmpty }
    }

    struct PipelineChange: Equatable, Sendable {
        let id: ComponentID
        /// Not there before.
        var isAdded = false
        var processors = Change()
        /// Its chain leads elsewhere than before: other processors or other exporters (not: replaced ones, they keep their place).
        var isRewired = false

        var isEmpty: Bool { !isAdded && !isRewired }
    }

    var receivers = Change()
    var exporters = Change()
    /// Pipelines of the new configuration, in its order.
    var pipelines: [PipelineChange] = []
    var removedPipelines: [ComponentID] = []
    /// Kept receivers that feed other pipelines than before, or whose requests are rewritten otherwise before they are logged.
    var redirectedReceivers: [ComponentID] = []
    /// Retired receivers whose port a new one needs: they are stopped before that one starts. All others are stopped after, so that
    /// there is no moment without a listener.
    var receiversStoppedFirst: [ComponentID] = []

    init(from old: Topology, to new: Topology) {
        receivers = Self.change(old.usedReceivers, new.usedReceivers) { old.receivers[$0]?.text == new.receivers[$0]?.text }
        exporters = Self.change(old.usedExporters, new.usedExporters) { old.exporters[$0] == new.exporters[$0] }
        pipelines = new.pipelines.map { Self.change(of: $0, from: old, to: new) }
        removedPipelines = old.pipelines.map(\.id).filter { new.pipeline($0) == nil }
        redirectedReceivers = receivers.kept.filter { old.fed(by: $0) != new.fed(by: $0) || old.rewriters[$0] != new.rewriters[$0] }
        let wanted = Set(receivers.made.flatMap { new.receivers[$0]?.ports ?? [] }).subtracting([0])
        receiversStoppedFirst = receivers.retired.filter { !wanted.isDisjoint(with: old.receivers[$0]?.ports ?? []) }
    }

    var isEmpty: Bool {
        receivers.isEmpty && exporters.isEmpty && removedPipelines.isEmpty && redirectedReceivers.isEmpty
            && pipelines.allSatisfy(\.isEmpty)
    }

    private static func change(_ old: [ComponentID], _ new: [ComponentID], isSame: (ComponentID) -> Bool) -> Change {
        var change = Change()
        for id in new {
            if !old.contains(id) {
                change.added.append(id)
            } else if isSame(id) {
                change.kept.append(id)
            } else {
                change.replaced.append(id)
            }
        }
        change.removed = old.filter { !new.contains($0) }
        return change
    }

    private static func change(of pipeline: Topology.Pipeline, from old: Topology, to new: Topology) -> PipelineChange {
        guard let former = old.pipeline(pipeline.id) else {
            return PipelineChange(id: pipeline.id, isAdded: true, processors: Change(added: pipeline.processors), isRewired: true)
        }
        let isReordered = former.processors.filter(pipeline.processors.contains) != pipeline.processors.filter(former.processors.contains)
        let processors = change(former.processors, pipeline.processors) {
            !isReordered && old.processors[$0] == new.processors[$0]
        }
        return PipelineChange(
            id: pipeline.id, processors: processors, isRewired: !processors.isEmpty || former.exporters != pipeline.exporters)
    }

    /// For the log: how much of what is kept and what is not.
    var summary: [String: String] {
        var counts = (kept: 0, made: 0, retired: 0)
        for change in [receivers, exporters] + pipelines.map(\.processors) {
            counts.kept += change.kept.count
            counts.made += change.made.count
            counts.retired += change.retired.count
        }
        return ["kept": "\(counts.kept)", "started": "\(counts.made)", "stopped": "\(counts.retired)"]
    }
}
