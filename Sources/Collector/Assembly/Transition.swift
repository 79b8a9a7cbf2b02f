import Configuration
import OTLPWire
import Pipeline
import SelfTelemetry

/// From one assembly to the next: what was made for it, which links have to be connected anew, what is no longer needed.
///
/// Making a transition makes components, but starts none and touches none that runs. The first start is a transition from nothing.
struct Transition: Sendable {
    struct Connection: Sendable {
        let link: Link<SpanBatch>
        let former: TraceConsumer
        let next: TraceConsumer
    }

    /// A kept pipeline's entry, told whose requests in the log are for it.
    struct Feeding: Sendable {
        let pipeline: Assembly.Pipeline
        let former: PipelineEntry.Receivers
        let next: PipelineEntry.Receivers
    }

    /// A kept receiver that feeds other pipelines than before, or through another rewriter.
    struct Redirection: Sendable {
        let output: ReceiverOutput
        let former: Assembly.Route
        let next: Assembly.Route
    }

    let plan: ReloadPlan
    let former: Assembly
    private(set) var next: Assembly

    /// Links of components that are kept.
    private(set) var connections: [Connection] = []
    private(set) var feedings: [Feeding] = []
    private(set) var redirections: [Redirection] = []
    private(set) var madeExporters: [Assembly.Exporter] = []
    /// Last stage of each pipeline first: the order in which they can be started.
    private(set) var madeProcessors: [Assembly.Processor] = []
    private(set) var madeReceivers: [Assembly.Receiver] = []
    private(set) var retiredExporters: [Assembly.Exporter] = []

    init(from former: Assembly = Assembly(), to blueprints: Blueprints, _ context: ComponentContext) {
        plan = ReloadPlan(from: former.blueprints.topology, to: blueprints.topology)
        self.former = former
        next = Assembly(blueprints: blueprints)
        makeExporters(context)
        for (pipeline, change) in zip(blueprints.pipelines, plan.pipelines) { makePipeline(pipeline, change, context) }
        makeReceivers(context)
    }

    private mutating func makeExporters(_ context: ComponentContext) {
        let blueprints = next.blueprints
        for id in Topology.distinct(blueprints.pipelines.flatMap(\.exporters)) {
            let old = former.exporter(id)
            if let old, plan.exporters.kept.contains(id) {
                next.exporters.append(old)
                continue
            }
            guard let component = blueprints.exporters[id]?.make(context) else { continue }
            let made = Assembly.Exporter(id: id, component: component, outlet: old?.outlet ?? Link(component))
            if let old { connections.append(Connection(link: old.outlet, former: old.component, next: component)) }
            madeExporters.append(made)
            next.exporters.append(made)
        }
        retiredExporters = plan.exporters.retired.compactMap(former.exporter)
    }

    private mutating func makePipeline(
        _ pipeline: Blueprints.Pipeline, _ change: ReloadPlan.PipelineChange, _ context: ComponentContext
    ) {
        var context = context
        context.pipeline = pipeline.id.description
        context.genAI = pipeline.processors.lazy.compactMap { [blueprints = next.blueprints] in blueprints.processors[$0]?.genAI }.first
        let old = former.pipeline(pipeline.id)
        var successor: TraceConsumer = FanOut<SpanBatch>.make(pipeline.exporters.compactMap { next.exporter($0)?.outlet })
        var processors: [Assembly.Processor] = []
        for id in pipeline.processors.reversed() {
            let kept = change.processors.kept.contains(id) ? old?.processors.first { $0.id == id } : nil
            if let kept {
                if change.isRewired { connections.append(Connection(link: kept.output, former: kept.output.next, next: successor)) }
                processors.append(kept)
            } else if let made = Self.makeProcessor(id, next.blueprints, successor, context) {
                madeProcessors.append(made)
                processors.append(made)
            }
            successor = processors.last?.input ?? successor
        }
        let pipelines = next.blueprints.pipelines
        let isShared = pipelines.count { !Set($0.receivers).isDisjoint(with: pipeline.receivers) } > 1
        let receivers = PipelineEntry.Receivers(
            feeding: Set(pipeline.receivers.map(\.description)), known: Set(pipelines.flatMap(\.receivers).map(\.description)),
            isChangingShared: isShared && pipeline.processors.contains { next.blueprints.processors[$0]?.changesSpans == true })
        var entered = old ?? makeEntry(pipeline.id, successor, receivers, context)
        if let old {
            feedings.append(Feeding(pipeline: old, former: old.receivers, next: receivers))
            if change.isRewired { connections.append(Connection(link: old.head, former: old.head.next, next: successor)) }
        }
        entered.receivers = receivers
        entered.processors = processors.reversed()
        next.pipelines.append(entered)
    }

    private func makeEntry(
        _ id: ComponentID, _ successor: TraceConsumer, _ receivers: PipelineEntry.Receivers, _ context: ComponentContext
    ) -> Assembly.Pipeline {
        let head = Link(successor)
        // What a receiver has accepted is always read back, whatever message size it was configured for.
        var limits = DecodeLimits()
        limits.arenaBytesMax = .max
        let source = context.log.flatMap { [limits] log in
            context.logReaders.firstIndex(of: id).map {
                PipelineEntry.Source(
                    log: log, reader: $0, budget: context.budget, limits: limits, bytesMax: context.memory.pipelineBytesMax)
            }
        }
        let entry = PipelineEntry(
            id: id.description, next: head, receivers: receivers, source: source, registry: context.registry,
            logger: context.loggers.logger("pipelines.\(id)"))
        return Assembly.Pipeline(id: id, entry: entry, head: head, receivers: receivers)
    }

    private static func makeProcessor(
        _ id: ComponentID, _ blueprints: Blueprints, _ successor: TraceConsumer, _ context: ComponentContext
    ) -> Assembly.Processor? {
        guard let blueprint = blueprints.processors[id] else { return nil }
        func counter(_ direction: String, _ verb: String) -> Counter {
            context.registry.counter(
                "otelcol_processor_\(direction)_items_total", help: "Items \(verb) the processor.",
                labels: [(name: "processor", value: id.description), (name: "otel_signal", value: "traces")])
        }
        let output = Link(successor)
        let component = blueprint.make(context, ItemCounter(counter("outgoing", "sent on by"), next: output))
        return Assembly.Processor(
            id: id, component: component, input: ItemCounter(counter("incoming", "taken by"), next: component), output: output)
    }

    private mutating func makeReceivers(_ context: ComponentContext) {
        let blueprints = next.blueprints
        for id in Topology.distinct(blueprints.pipelines.flatMap(\.receivers)) {
            let fed = blueprints.pipelines.filter { $0.receivers.contains(id) }.map(\.id)
            let rewriter = blueprints.rewriter(of: id)
            let isSame = plan.receivers.kept.contains(id) && !plan.redirectedReceivers.contains(id)
            let route = Assembly.Route(
                entries: fed.compactMap { next.pipeline($0)?.entry },
                bystanders: context.logReaders.indices.filter { !fed.contains(context.logReaders[$0]) },
                rewriter: isSame
                    ? former.receiver(id)?.route.rewriter : rewriter.flatMap { blueprints.processors[$0]?.makeRewriter?(context) })
            if plan.receivers.kept.contains(id), var kept = former.receiver(id) {
                if plan.redirectedReceivers.contains(id) {
                    redirections.append(Redirection(output: kept.output, former: kept.route, next: route))
                }
                kept.route = route
                next.receivers.append(kept)
            } else if let made = Self.makeReceiver(id, blueprints, route, context) {
                madeReceivers.append(made)
                next.receivers.append(made)
            }
        }
    }

    static func makeReceiver(
        _ id: ComponentID, _ blueprints: Blueprints, _ route: Assembly.Route, _ context: ComponentContext
    ) -> Assembly.Receiver? {
        let output = ReceiverOutput(
            receiver: id.description, entries: route.entries, log: context.log, bystanders: route.bystanders,
            rewriter: route.rewriter)
        return blueprints.receivers[id].map { Assembly.Receiver(id: id, made: $0.make(context, output), output: output, route: route) }
    }
}
