import Configuration
import GenAI
import Logging
import NIOCore
import Pipeline
import Redaction
import Sampling
import SelfTelemetry

typealias TraceConsumer = any Consumer<SpanBatch>
typealias TraceStage = any Consumer<SpanBatch> & Component

/// What components are made with.
struct ComponentContext: Sendable {
    let group: any EventLoopGroup
    let budget: MemoryBudget
    /// Nil without `service.write_ahead_log`.
    var log: WriteAheadLog?
    /// The log's readers: pipelines by their number.
    var logReaders: [ComponentID] = []
    /// Of a processor that is made: the pipeline it is for.
    var pipeline = ""
    /// Of such a processor: how the pipeline finds LLM calls; nil where it does not.
    var genAI: GenAIConfig?
    /// Who may take how much.
    var memory = MemoryPlan(MemoryPlan.Demand(), ceiling: nil)
    let registry: MetricRegistry
    let loggers: LoggerFactory

    /// As many as there are cores for the collector.
    var eventLoopCount: Int { group.makeIterator().reduce(0) { count, _ in count + 1 } }
}

/// A decoded receiver: ready to be made once it is known what comes after it.
struct ReceiverBlueprint: Sendable {
    /// Ports it will listen on, 0 where the system picks one; each listener has pools of its own per event loop.
    var ports: [Int] = []
    let make: @Sendable (ComponentContext, ReceiverOutput) -> MadeReceiver
}

struct MadeReceiver: Sendable {
    let component: any Component
    /// Where clients reach it, once it has started.
    let addresses: @Sendable () -> [ClientAddress]
}

/// An endpoint as an SDK's environment variables want it.
struct ClientAddress: Sendable {
    let url: String
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`: `grpc` or `http/protobuf`.
    let sdkProtocol: String
}

struct ProcessorBlueprint: Sendable {
    /// Set for a processor that limits the process's memory.
    var memoryLimiter: MemoryLimiterConfig?
    /// Set for a processor that holds undecided traces: bytes of requests that they may hold, `.max` where nothing was said.
    var undecidedBytes: Int?
    /// Whether it writes into the spans it gets: then no other pipeline may be reading them.
    var changesSpans = false
    /// Of a processor that finds LLM calls.
    var genAI: GenAIConfig?
    /// Of a tail sampler.
    var tailSampling: TailSamplingConfig?
    /// Of a processor that redacts.
    var redaction: PIIRedactionConfig?
    /// Set for one that does its work before the write-ahead log.
    var makeRewriter: (@Sendable (ComponentContext) -> any RequestRewriter)?
    let make: @Sendable (ComponentContext, TraceConsumer) -> TraceStage
}

struct ExporterBlueprint: Sendable {
    /// Where the data goes, for people, without credentials: `sqlite ./data/telemetry.db`.
    let destination: String
    /// Brings the schema up to date and says what it did; nil when there is none.
    var migrate: (@Sendable (Logger) throws -> String)?
    /// Memory its workers hold besides the batches.
    var bufferBytes = 0
    let make: @Sendable (ComponentContext) -> TraceStage
}

/// Everything the configuration asks for, decoded; nothing is running yet.
struct Blueprints: Sendable {
    struct Pipeline: Sendable {
        let id: ComponentID
        let receivers: [ComponentID]
        let processors: [ComponentID]
        let exporters: [ComponentID]
    }

    var receivers: [ComponentID: ReceiverBlueprint] = [:]
    var processors: [ComponentID: ProcessorBlueprint] = [:]
    var exporters: [ComponentID: ExporterBlueprint] = [:]
    var healthCheck: HealthCheckConfig?
    var pipelines: [Pipeline] = []
    /// `ConfigSection.comparisonText` of each component.
    var texts: [ConfigurationDocument.Kind: [ComponentID: String]] = [:]

    /// The same as values that can be compared.
    var topology: Topology {
        Topology(
            receivers: receivers.reduce(into: [:]) {
                $0[$1.key] = Topology.Receiver(text: texts[.receivers]?[$1.key] ?? "", ports: $1.value.ports)
            },
            processors: texts[.processors] ?? [:], exporters: texts[.exporters] ?? [:],
            pipelines: pipelines.map {
                Topology.Pipeline(id: $0.id, receivers: $0.receivers, processors: $0.processors, exporters: $0.exporters)
            },
            rewriters: receivers.keys.reduce(into: [:]) { found, receiver in
                found[receiver] = rewriter(of: receiver).flatMap { texts[.processors]?[$0] }
            })
    }
}

extension Blueprints {
    /// What the configuration asks of the memory.
    func memoryDemand(eventLoops: Int, hasLog: Bool) -> MemoryPlan.Demand {
        let usedReceivers = Set(pipelines.flatMap(\.receivers)).compactMap { receivers[$0] }
        let usedExporters = Set(pipelines.flatMap(\.exporters)).compactMap { exporters[$0] }
        return MemoryPlan.Demand(
            limiters: Set(pipelines.flatMap(\.processors)).compactMap { processors[$0]?.memoryLimiter },
            undecidedBytes: pipelines.flatMap(\.processors).compactMap { processors[$0]?.undecidedBytes },
            exporterBytes: usedExporters.map(\.bufferBytes), listeners: usedReceivers.reduce(0) { $0 + $1.ports.count },
            eventLoops: eventLoops, pipelines: pipelines.count, hasLog: hasLog)
    }
}
