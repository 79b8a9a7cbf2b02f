import Configuration
import Logging
import NIOPosix
import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization
import Testing
@testable import Collector

/// A stage that notes in a shared diary what reaches it, then hands it on.
private final class DiaryStage: Consumer, Component {
    let id: String
    let diary: Diary
    let next: TraceConsumer?

    init(_ id: String, _ diary: Diary, next: TraceConsumer? = nil) {
        self.id = id
        self.diary = diary
        self.next = next
    }

    var health: ComponentHealth { .ok }
    var admission: Outcome { .accepted }
    func start() async throws {}
    func shutdown(deadline: ContinuousClock.Instant) async {}

    func consume(_ batch: SpanBatch) -> Outcome {
        diary.note(id)
        return next?.consume(batch) ?? .accepted
    }
}

private final class Diary: Sendable {
    private let lines = Mutex<[String]>([])

    func note(_ line: String) { lines.withLock { $0.append(line) } }

    func take() -> [String] {
        lines.withLock {
            let taken = $0
            $0 = []
            return taken
        }
    }
}

@Suite struct AssemblyTests {
    /// An export request with one span that has only its ids: each message is the only field of the one around it.
    private static let oneSpan: [UInt8] = {
        let span = [0x0A, 16] + [UInt8](repeating: 1, count: 16) + [0x12, 8] + [UInt8](repeating: 2, count: 8)
        let scopeSpans = [0x12, UInt8(span.count)] + span
        let resourceSpans = [0x12, UInt8(scopeSpans.count)] + scopeSpans
        return [0x0A, UInt8(resourceSpans.count)] + resourceSpans
    }()

    private let diary = Diary()
    private let registry = MetricRegistry()

    private func id(_ text: String) throws -> ComponentID { try #require(ComponentID(text)) }

    /// Blueprints for the pipelines given as (receivers, processors, exporters).
    private func blueprints(_ pipelines: [([String], [String], [String])], made: Counter = Counter()) throws -> Blueprints {
        let diary = diary
        var blueprints = Blueprints()
        for (receivers, processors, exporters) in pipelines {
            for name in exporters {
                blueprints.exporters[try id(name)] = ExporterBlueprint(destination: name) { _ in
                    made.add()
                    return DiaryStage(name, diary)
                }
            }
            for name in processors {
                blueprints.processors[try id(name)] = ProcessorBlueprint { _, next in DiaryStage(name, diary, next: next) }
            }
            for name in receivers {
                blueprints.receivers[try id(name)] = ReceiverBlueprint { _, output in
                    MadeReceiver(component: DiaryStage(name, diary, next: OutputStage(output))) { [] }
                }
            }
            blueprints.pipelines.append(
                .init(
                    id: try id("traces/\(blueprints.pipelines.count)"), receivers: try receivers.map(id),
                    processors: try processors.map(id), exporters: try exporters.map(id)))
        }
        return blueprints
    }

    private func assemble(_ blueprints: Blueprints) -> Assembly {
        let context = ComponentContext(
            group: MultiThreadedEventLoopGroup.singleton, budget: MemoryBudget(limitBytes: 1 << 20), registry: registry,
            loggers: LoggerFactory(level: .critical, output: LogOutput(encoding: .console)))
        return Assembly(blueprints, context)
    }

    /// What a batch given to the receiver meets, in order.
    private func way(_ assembly: Assembly, from receiver: String) throws -> [String] {
        let made = try #require(assembly.receivers.first { $0.component.id == receiver })
        let entry = try #require(made.component as? DiaryStage)
        let message = try Self.oneSpan.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1) }
        #expect(entry.consume(SpanBatch(message)) == .accepted)
        return diary.take()
    }

    @Test func aBatchMeetsTheProcessorsInTheWrittenOrderThenEveryExporter() throws {
        let assembly = assemble(try blueprints([(["otlp"], ["one", "two"], ["a", "b"])]))
        #expect(try way(assembly, from: "otlp") == ["otlp", "one", "two", "a", "b"])
    }

    @Test func aReceiverInTwoPipelinesFeedsBothAndExistsOnce() throws {
        let assembly = assemble(try blueprints([(["otlp"], ["one"], ["a"]), (["otlp", "otlp/x"], ["two"], ["b"])]))
        #expect(assembly.receivers.map(\.component.id) == ["otlp", "otlp/x"])
        #expect(try way(assembly, from: "otlp") == ["otlp", "one", "a", "two", "b"])
        #expect(try way(assembly, from: "otlp/x") == ["otlp/x", "two", "b"])
    }

    @Test func anExporterInTwoPipelinesExistsOnceAProcessorOncePerPipeline() throws {
        let made = Counter()
        let assembly = assemble(try blueprints([(["r1"], ["batch"], ["a"]), (["r2"], ["batch"], ["a"])], made: made))
        #expect(made.value == 1)
        #expect(assembly.exporters.map(\.id) == ["a"])
        #expect(assembly.processors.map(\.id) == ["batch", "batch"])
    }

    @Test func componentsAreListedInTheOrderASpanMeetsThem() throws {
        let assembly = assemble(try blueprints([(["r"], ["one", "two"], ["a", "b"])]))
        #expect(assembly.health.map(\.place) == ["receivers.r", "processors.one", "processors.two", "exporters.a", "exporters.b"])
    }

    @Test func processorsCountWhatComesInAndGoesOut() throws {
        let assembly = assemble(try blueprints([(["r"], ["one"], ["a"])]))
        _ = try way(assembly, from: "r")
        let text = registry.prometheusText()
        #expect(text.contains("otelcol_processor_incoming_items_total{processor=\"one\",otel_signal=\"traces\"} 1"))
        #expect(text.contains("otelcol_processor_outgoing_items_total{processor=\"one\",otel_signal=\"traces\"} 1"))
    }
}

/// Hands whole requests to a receiver's output.
private final class OutputStage: Consumer {
    private let output: ReceiverOutput

    init(_ output: ReceiverOutput) { self.output = output }

    var admission: Outcome { output.admission }

    func consume(_ batch: SpanBatch) -> Outcome { output.consume(batch.slices[0].batch) }
}
