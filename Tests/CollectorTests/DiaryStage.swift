import Configuration
import NIOPosix
import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization
import Testing
@testable import Collector

/// What happened, in order; written from any thread.
final class Diary: Sendable {
    private let lines = Mutex<[String]>([])

    func note(_ line: String) { lines.withLock { $0.append(line) } }

    func take() -> [String] {
        lines.withLock { lines in
            defer { lines = [] }
            return lines
        }
    }
}

/// A stage that notes in a shared diary what reaches it, then hands it on. After its end it refuses, as real stages do.
final class DiaryStage: RetiringStage {
    let id: String
    let name: String
    let diary: Diary
    let next: TraceConsumer?
    let cannotStart: Bool
    let itemCount = Counter()
    let refusedCount = Counter()
    /// What it has taken and cannot deliver.
    let stuck = Mutex<[SpanBatch]>([])
    let isStuck: Bool
    private let isStopping = Atomic<Bool>(false)

    /// - Parameter name: for the diary.
    init(_ id: String, _ name: String, _ diary: Diary, next: TraceConsumer? = nil, cannotStart: Bool = false, isStuck: Bool = false) {
        self.id = id
        self.name = name
        self.diary = diary
        self.next = next
        self.cannotStart = cannotStart
        self.isStuck = isStuck
    }

    struct NoStart: Error {}

    var health: ComponentHealth { .ok }
    var admission: Outcome { isStopping.load(ordering: .relaxed) ? .retryable(.shuttingDown, after: nil) : next?.admission ?? .accepted }

    func start() async throws {
        if cannotStart { throw NoStart() }
        diary.note("+\(name)")
    }

    func shutdown(deadline: ContinuousClock.Instant) async {
        isStopping.store(true, ordering: .relaxed)
        diary.note("-\(name)")
    }

    func retire(deadline: ContinuousClock.Instant) async -> [SpanBatch] {
        await shutdown(deadline: deadline)
        return stuck.withLock { batches in
            for index in batches.indices { batches[index].markInDoubt() }
            return batches
        }
    }

    func consume(_ batch: SpanBatch) -> Outcome {
        if isStopping.load(ordering: .relaxed) {
            refusedCount.add()
            return .retryable(.shuttingDown, after: nil)
        }
        itemCount.add(batch.itemCount)
        diary.note(batch.isReplayed ? "\(name)?" : name)
        if isStuck {
            stuck.withLock { $0.append(batch) }
            return .accepted
        }
        return next?.consume(batch) ?? .accepted
    }
}

/// Configurations of diary stages, and what it takes to run them.
struct DiaryWorld {
    let diary = Diary()
    let registry = MetricRegistry()
    /// Names of components that fail to start, and of those that never deliver.
    var cannotStart: Set<String> = []
    var isStuck: Set<String> = []

    var context: ComponentContext {
        ComponentContext(
            group: MultiThreadedEventLoopGroup.singleton,
            budget: MemoryBudget(MemoryLimits(softBytes: 1 << 20, hardBytes: 1 << 20, takesOversized: true)), registry: registry,
            loggers: LoggerFactory(level: .critical, output: LogOutput(encoding: .console)))
    }

    /// Pipelines given as (receivers, processors, exporters). `batch=2` is `batch` in its second configuration, and is called so in
    /// the diary; `r=2@4317` needs that port.
    func blueprints(_ pipelines: [([String], [String], [String])]) throws -> Blueprints {
        var blueprints = Blueprints()
        for (index, (receivers, processors, exporters)) in pipelines.enumerated() {
            blueprints.pipelines.append(
                .init(
                    id: ComponentID(type: "traces", name: index == 0 ? "" : "\(index)"),
                    receivers: try receivers.map { try add($0, .receivers, to: &blueprints) },
                    processors: try processors.map { try add($0, .processors, to: &blueprints) },
                    exporters: try exporters.map { try add($0, .exporters, to: &blueprints) }))
        }
        return blueprints
    }

    private func add(_ word: String, _ kind: ConfigurationDocument.Kind, to blueprints: inout Blueprints) throws -> ComponentID {
        let fields = word.split(separator: "@")
        let first = try #require(fields.first)
        let name = String(first)
        let type = try #require(name.split(separator: "=").first)
        let id = try #require(ComponentID(String(type)))
        blueprints.texts[kind, default: [:]][id] = name
        let make: @Sendable (TraceConsumer?) -> DiaryStage = { [diary, cannotStart, isStuck] next in
            DiaryStage(
                id.description, name, diary, next: next, cannotStart: cannotStart.contains(name), isStuck: isStuck.contains(name))
        }
        switch kind {
        case .receivers:
            blueprints.receivers[id] = ReceiverBlueprint(ports: fields.dropFirst().compactMap { Int($0) }) { _, output in
                MadeReceiver(component: make(OutputConsumer(output))) { [] }
            }
        case .processors: blueprints.processors[id] = ProcessorBlueprint { _, next in make(next) }
        case .exporters: blueprints.exporters[id] = ExporterBlueprint(destination: name) { _ in make(nil) }
        case .extensions: break
        }
        return id
    }

    /// An export request with one span that has only its ids: each message is the only field of the one around it.
    static func oneSpan() throws -> SpanBatch {
        let span = [0x0A, 16] + [UInt8](repeating: 1, count: 16) + [0x12, 8] + [UInt8](repeating: 2, count: 8)
        let scopeSpans = [0x12, UInt8(span.count)] + span
        let resourceSpans = [0x12, UInt8(scopeSpans.count)] + scopeSpans
        let request = [0x0A, UInt8(resourceSpans.count)] + resourceSpans
        return SpanBatch(try request.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1) })
    }

    /// What a batch given to the receiver meets, in order.
    func way(_ assembly: Assembly, from receiver: String) throws -> [String] {
        let entry = try #require(assembly.receivers.first { $0.id.description == receiver }?.made.component as? DiaryStage)
        #expect(entry.consume(try Self.oneSpan()) == .accepted)
        return diary.take()
    }
}

/// A receiver's output as the successor of a stage.
private final class OutputConsumer: Consumer {
    let output: ReceiverOutput
    init(_ output: ReceiverOutput) { self.output = output }
    var admission: Outcome { output.admission }
    func consume(_ batch: SpanBatch) -> Outcome { batch.slices.first.map { output.consume($0.batch) } ?? .accepted }
}
