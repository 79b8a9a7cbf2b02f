import Glibc
import Logging
import OTLPWire
import SelfTelemetry
import Synchronization

@testable import Pipeline
@testable import Sampling

/// Time a test waits for something that other threads do; only a failing test takes that long.
let patience = Duration.seconds(20)

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Waits until it holds; false when it never does.
func eventually(_ condition: () -> Bool) -> Bool {
    let deadline = ContinuousClock.now + patience
    while !condition() {
        if ContinuousClock.now > deadline { return false }
        sched_yield()
    }
    return true
}

/// A span as it left the sampler.
struct LeftSpan: Hashable {
    let trace: UInt64
    let span: UInt64
    let adjustedCount: Double
    let reason: String
}

/// The stage after the sampler: takes what comes, or refuses as it is told.
final class SpanCollector: Consumer, @unchecked Sendable {
    enum Manner {
        case takes
        case refuses
        /// `admission` says yes all the same.
        case refusesAnyway
        case refusesForGood
    }

    private let lock = ConditionLock()
    private var manner: Manner
    private var found: [LeftSpan] = []
    private var isReplayed = false
    /// Holds on to what it got.
    private var batches: [SpanBatch] = []
    private let keeps: Bool

    init(_ manner: Manner = .takes, keeps: Bool = false) {
        self.manner = manner
        self.keeps = keeps
    }

    static let refusal = Outcome.retryable(.queueFull, after: nil)

    var admission: Outcome { lock.withLock { manner == .refuses ? Self.refusal : .accepted } }

    func consume(_ batch: SpanBatch) -> Outcome {
        lock.withLock {
            switch manner {
            case .refuses, .refusesAnyway: return Self.refusal
            case .refusesForGood: return .permanent(.tooLarge)
            case .takes: break
            }
            batch.forEach { reference in
                found.append(
                    LeftSpan(
                        trace: reference.span.traceID.low, span: reference.span.spanID.word, adjustedCount: reference.adjustedCount,
                        reason: reference.decision?.reason ?? ""))
            }
            isReplayed = isReplayed || batch.isReplayed
            if keeps { batches.append(batch) }
            lock.broadcast()
            return .accepted
        }
    }

    func become(_ manner: Manner) { lock.withLock { self.manner = manner } }

    var spans: [LeftSpan] { lock.withLock { found } }
    var hasReplayed: Bool { lock.withLock { isReplayed } }

    /// Waits for that many; all that have come by then.
    func spans(atLeast count: Int) -> [LeftSpan] {
        let deadline = ContinuousClock.now + patience
        return lock.withLock {
            while found.count < count, lock.wait(until: deadline) {}
            return found
        }
    }
}

/// A tail sampler between a caller and a `SpanCollector`.
struct TailStage {
    let next: SpanCollector
    let registry = MetricRegistry()
    let budget: MemoryBudget
    let processor: TailSamplingProcessor

    init(
        _ config: TailSamplingConfig, next: SpanCollector = SpanCollector(), journal: WriteAheadLog? = nil, budgetBytes: Int = 1 << 30,
        bytesMax: Int = .max
    ) {
        self.next = next
        budget = MemoryBudget(limitBytes: budgetBytes)
        processor = TailSamplingProcessor(
            id: "tail_sampling", config: config, next: next,
            journal: journal.map { TailSamplingProcessor.Journal(log: $0, topic: "traces/tail_sampling") }, budget: budget,
            bytesMax: bytesMax, cores: 2, registry: registry, logger: quietLogger)
    }

    func consume(_ spans: [TestSpan]) throws -> Outcome {
        processor.consume(SpanBatch(try TestSpan.batch(spans, account: budget)))
    }

    /// Sum over a metric's series whose labels contain all of these.
    func metric(_ name: String, _ labels: String...) -> Double {
        registry.prometheusText().split(separator: "\n")
            .filter { $0.hasPrefix("otelcol_processor_tail_sampling_\(name){") && labels.allSatisfy($0.contains) }
            .reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "") ?? .nan) }
    }
}
