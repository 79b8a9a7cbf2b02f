import Configuration
import OTLPWire
import Pipeline
import SelfTelemetry

/// The components of all pipelines, made and connected from the exporters backwards: each is given its successor when it is made.
///
/// An exporter or receiver that several pipelines name exists once; a processor exists once per pipeline, as in the Go collector.
/// Between receivers and processors stands each pipeline's entry, which reads the write-ahead log where there is one.
struct Assembly: Sendable {
    /// In the order of the configuration's pipelines.
    private(set) var exporters: [any Component] = []
    /// Per pipeline, last stage first: the order in which they can be started.
    private(set) var processors: [any Component] = []
    /// One per pipeline, in the order of the configuration: the order of the log's readers.
    private(set) var entries: [PipelineEntry] = []
    private(set) var receivers: [MadeReceiver] = []
    let log: WriteAheadLog?

    init(_ blueprints: Blueprints, _ context: ComponentContext) {
        log = context.log
        let stages = makeExporters(blueprints, context)
        let receiverIDs = blueprints.pipelines.flatMap(\.receivers)
        for (reader, pipeline) in blueprints.pipelines.enumerated() {
            var next = FanOut<SpanBatch>.make(pipeline.exporters.compactMap { stages[$0] })
            for id in pipeline.processors.reversed() {
                guard let blueprint = blueprints.processors[id] else { continue }
                let stage = blueprint.make(context, Self.counted("outgoing", "sent on by", id, context, next))
                processors.append(stage)
                next = Self.counted("incoming", "taken by", id, context, stage)
            }
            let source = context.log.map {
                PipelineEntry.Source(log: $0, reader: reader, budget: context.budget, limits: DecodeLimits())
            }
            entries.append(
                PipelineEntry(
                    id: pipeline.id.description, next: next,
                    receivers: PipelineEntry.Receivers(
                        feeding: Set(pipeline.receivers.map(\.description)), known: Set(receiverIDs.map(\.description))),
                    source: source, registry: context.registry, logger: context.loggers.logger("pipelines.\(pipeline.id)")))
        }
        var made: Set<ComponentID> = []
        for id in receiverIDs where made.insert(id).inserted {
            let isFed = blueprints.pipelines.map { $0.receivers.contains(id) }
            let output = ReceiverOutput(
                receiver: id.description, entries: zip(entries, isFed).filter(\.1).map(\.0), log: context.log,
                bystanders: isFed.indices.filter { !isFed[$0] })
            if let receiver = blueprints.receivers[id]?.make(context, output) { receivers.append(receiver) }
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

    // MARK: Places in the configuration, in the order a span meets them

    var receiversInOrder: [(place: String, component: any Component)] {
        receivers.map { ("receivers.\($0.component.id)", $0.component) }
    }

    var processorsInOrder: [(place: String, component: any Component)] {
        processors.reversed().map { ("processors.\($0.id)", $0) }
    }

    var exportersInOrder: [(place: String, component: any Component)] {
        exporters.map { ("exporters.\($0.id)", $0) }
    }

    var health: [(place: String, health: ComponentHealth)] {
        let components = receiversInOrder + processorsInOrder + exportersInOrder
        return components.map { ($0.place, $0.component.health) } + (log.map { [("service.write_ahead_log", $0.health)] } ?? [])
    }
}
