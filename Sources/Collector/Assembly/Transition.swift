import Configuration
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

    let plan: ReloadPlan
    let former: Assembly
    private(set) var next: Assembly

    /// Links of components that are kept.
    private(set) var connections: [Connection] = []
    private(set) var madeExporters: [Assembly.Exporter] = []
    /// Last stage of each pipeline first: the order in which they can be started.
    private(set) var madeProcessors: [Assembly.Processor] = []
    private(set) var madeReceivers: [Assembly.Receiver] = []
    private(set) var retiredExporters: [Assembly.Exporter] = []
    /// Per pipeline in the order a span meets them: each can still hand on to the next while it is shut down.
    private(set) var retiredProcessors: [[Assembly.Processor]] = []

    init(from former: Assembly = Assembly(), to blueprints: Blueprints, _ context: ComponentContext) {
        plan = ReloadPlan(from: former.blueprints.topology, to: blueprints.topology)
        self.former = former
        next = Assembly(blueprints: blueprints)
        makeExporters(context)
        for (pipeline, change) in zip(blueprints.pipelines, plan.pipelines) { makePipeline(pipeline, change, context) }
        retiredProcessors += plan.removedPipelines.compactMap { former.pipeline($0)?.processors }
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
        let old = former.pipeline(pipeline.id)
        guard change.isRewired || old == nil else {
            if let old { next.pipelines.append(old) }
            return
        }
        var successor: TraceConsumer = FanOut<SpanBatch>.make(pipeline.exporters.compactMap { next.exporter($0)?.outlet })
        var processors: [Assembly.Processor] = []
        for id in pipeline.processors.reversed() {
            let kept = change.processors.kept.contains(id) ? old?.processors.first { $0.id == id } : nil
            if let kept {
                connections.append(Connection(link: kept.output, former: kept.output.next, next: successor))
                processors.append(kept)
            } else if let made = Self.makeProcessor(id, next.blueprints, successor, context) {
                madeProcessors.append(made)
                processors.append(made)
            }
            successor = processors.last?.input ?? successor
        }
        let entry = old?.entry ?? Link(successor)
        if old != nil { connections.append(Connection(link: entry, former: entry.next, next: successor)) }
        next.pipelines.append(Assembly.Pipeline(id: pipeline.id, entry: entry, processors: processors.reversed()))
        if let old { retiredProcessors.append(old.processors.filter { change.processors.retired.contains($0.id) }) }
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
            let entries = blueprints.pipelines.filter { $0.receivers.contains(id) }.compactMap { next.pipeline($0.id)?.entry }
            let successor = FanOut<SpanBatch>.make(entries)
            if plan.receivers.kept.contains(id), let old = former.receiver(id) {
                next.receivers.append(old)
                guard plan.redirectedReceivers.contains(id) else { continue }
                connections.append(Connection(link: old.output, former: old.output.next, next: successor))
            } else if let made = Self.makeReceiver(id, blueprints, successor, context) {
                madeReceivers.append(made)
                next.receivers.append(made)
            }
        }
    }

    static func makeReceiver(
        _ id: ComponentID, _ blueprints: Blueprints, _ successor: TraceConsumer, _ context: ComponentContext
    ) -> Assembly.Receiver? {
        let output = Link(successor)
        return blueprints.receivers[id].map { Assembly.Receiver(id: id, made: $0.make(context, output), output: output) }
    }
}
