import Configuration
import Logging
import Pipeline

/// The running components and how they are connected.
///
/// An exporter or receiver that several pipelines name exists once; a processor exists once per pipeline, as in the Go collector.
/// Between any two stages is a `Link`, so that each can be exchanged while its neighbours go on. Each pipeline's entry, which reads the
/// write-ahead log where there is one, stays as long as the pipeline's id does:
///
///     receiver ─ output ─┬─ entry ─ head ─ processor ─ output ─ … ─┬─ outlet ─ exporter
///                        └─ entry of another pipeline              └─ outlet ─ another exporter
struct Assembly: Sendable {
    struct Exporter: Sendable {
        let id: ComponentID
        let component: TraceStage
        /// How pipelines reach it; outlives replacements.
        let outlet: Link<SpanBatch>
    }

    struct Processor: Sendable {
        let id: ComponentID
        let component: TraceStage
        /// Counts what comes in.
        let input: TraceConsumer
        let output: Link<SpanBatch>
    }

    struct Pipeline: Sendable {
        let id: ComponentID
        let entry: PipelineEntry
        /// The entry's end.
        let head: Link<SpanBatch>
        var receivers: PipelineEntry.Receivers
        /// In the order a span meets them.
        var processors: [Processor] = []
    }

    struct Receiver: Sendable {
        let id: ComponentID
        let made: MadeReceiver
        let output: ReceiverOutput
        var route: Route
    }

    /// Where a receiver's requests go.
    struct Route: Sendable {
        var entries: [PipelineEntry]
        /// The log's readers that are not among them.
        var bystanders: [Int]
        /// What its requests go through before they are logged.
        var rewriter: (any RequestRewriter)?
    }

    var blueprints = Blueprints()
    var exporters: [Exporter] = []
    /// In the order of the configuration.
    var pipelines: [Pipeline] = []
    var receivers: [Receiver] = []

    func exporter(_ id: ComponentID) -> Exporter? { exporters.first { $0.id == id } }
    func pipeline(_ id: ComponentID) -> Pipeline? { pipelines.first { $0.id == id } }
    func receiver(_ id: ComponentID) -> Receiver? { receivers.first { $0.id == id } }

    /// Every component with its place in the configuration, in the order a span meets them.
    var all: [(place: String, component: any Component)] {
        receivers.map { ("receivers.\($0.id)", $0.made.component) }
            + pipelines.flatMap(\.processors).map { ("processors.\($0.id)", $0.component) }
            + exporters.map { ("exporters.\($0.id)", $0.component) }
    }

    /// Tells the user what to do next: where to point an SDK, and where to look for the data.
    ///
    /// What is passed has just started.
    func announce(_ receivers: [Receiver], _ exporters: [Exporter], _ logger: Logger) {
        for receiver in receivers {
            for address in receiver.made.addresses() {
                let variables = "OTEL_EXPORTER_OTLP_ENDPOINT=\(address.url) OTEL_EXPORTER_OTLP_PROTOCOL=\(address.sdkProtocol)"
                logger.info("ready; point an SDK here: \(variables)")
            }
        }
        for exporter in exporters.sorted(by: { $0.id.description < $1.id.description }) {
            guard let destination = blueprints.exporters[exporter.id]?.destination else { continue }
            logger.info("data goes to \(destination)", metadata: ["exporter": "\(exporter.id)"])
        }
    }
}
