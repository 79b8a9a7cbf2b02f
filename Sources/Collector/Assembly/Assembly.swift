import Configuration
import Pipeline
import SelfTelemetry

/// The components of all pipelines, made and connected from the exporters backwards: each is given its successor when it is made.
///
/// An exporter or receiver that several pipelines name exists once; a processor exists once per pipeline, as in the Go collector.
struct Assembly: Sendable {
    /// In the order of the configuration's pipelines.
    private(set) var exporters: [any Component] = []
    /// Per pipeline, last stage first: the order in which they can be started.
    private(set) var processors: [any Component] = []
    private(set) var receivers: [MadeReceiver] = []

    init(_ blueprints: Blueprints, _ context: ComponentContext) {
        let stages = makeExporters(blueprints, context)
        var entries: [(receivers: [ComponentID], entry: TraceConsumer)] = []
        for pipeline in blueprints.pipelines {
            var next = FanOut<SpanBatch>.make(pipeline.exporters.compactMap { stages[$0] })
            for id in pipeline.processors.reversed() {
                guard let blueprint = blueprints.processors[id] else { continue }
                let stage = blueprint.make(context, Self.counted("outgoing", "sent on by", id, context, next))
                processors.append(stage)
                next = Self.counted("incoming", "taken by", id, context, stage)
            }
            let isShared = blueprints.pipelines.count { !Set($0.receivers).isDisjoint(with: pipeline.receivers) } > 1
            if isShared, pipeline.processors.contains(where: { blueprints.processors[$0]?.changesSpans == true }) {
                next = OwnCopy(next: next)
            }
            entries.append((pipeline.receivers, next))
        }
        var made: Set<ComponentID> = []
        for id in blueprints.pipelines.flatMap(\.receivers) where made.insert(id).inserted {
            let fed = entries.filter { $0.receivers.contains(id) }.map(\.entry)
            if let receiver = blueprints.receivers[id]?.make(context, FanOut<SpanBatch>.make(fed)) { receivers.append(receiver) }
        }
    }

    private mutating func makeExporters(_ blueprints: Blueprints, _ context: ComponentContext) -> [ComponentID: TraceConsumer] {
        var stages: [ComponentID: TraceConsumer] = [:]
        for id in blueprints.pipelines.flatMap(\.exporters) where stages[id] == nil {
            guard let exporter = blueprints.exporters[id]?.make(context) else { continue }
            exporters.append(exporter)
            stages[id] = exporter
        }
        return stages
    }

    private static func counted(
        _ direction: String, _ verb: String, _ id: ComponentID, _ context: ComponentContext, _ next: TraceConsumer
    ) -> TraceConsumer {
        let counter = context.registry.counter(
            "otelcol_processor_\(direction)_items_total", help: "Items \(verb) the processor.",
            labels: [(name: "processor", value: id.description), (name: "otel_signal", value: "traces")])
        return ItemCounter(counter, next: next)
    }

    /// Every component with its place in the configuration, in the order a span meets them.
    var all: [(place: String, component: any Component)] {
        receivers.map { ("receivers.\($0.component.id)", $0.component) }
            + processors.reversed().map { ("processors.\($0.id)", $0) }
            + exporters.map { ("exporters.\($0.id)", $0) }
    }
}
