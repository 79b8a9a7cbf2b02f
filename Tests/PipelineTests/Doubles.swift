import Logging
import Synchronization
@testable import Pipeline

/// A batch of numbers: shows what arrived, in which order.
struct Numbers: TelemetryBatch, Equatable {
    var values: [Int]

    init(_ values: [Int]) { self.values = values }
    init(_ range: Range<Int>) { values = Array(range) }

    var itemCount: Int { values.count }
    var byteCount: Int { values.count * 8 }

    mutating func append(_ other: Numbers) { values += other.values }

    mutating func removeFirst(_ count: Int) -> Numbers {
        defer { values.removeFirst(min(count, values.count)) }
        return Numbers(Array(values.prefix(count)))
    }
}

/// Time a test waits for something that other threads do; only a failing test takes that long.
let patience = Duration.seconds(20)

/// Keeps what it is given; refuses while told so.
final class RecordingConsumer: Consumer, @unchecked Sendable {
    private let lock = ConditionLock()
    private var batches: [Numbers] = []
    private var refusal: Outcome?
    private var offers = 0
    /// When set, asking is answered `accepted` although `consume` refuses: the race between the two.
    private let asksKindly: Bool

    init(refusing: Outcome? = nil, asksKindly: Bool = false) {
        refusal = refusing
        self.asksKindly = asksKindly
    }

    var admission: Outcome {
        lock.withLock {
            offers += 1
            lock.broadcast()
            return asksKindly ? .accepted : refusal ?? .accepted
        }
    }

    func consume(_ batch: Numbers) -> Outcome {
        lock.withLock {
            if let refusal { return refusal }
            batches.append(batch)
            lock.broadcast()
            return .accepted
        }
    }

    func refuse(_ outcome: Outcome?) { lock.withLock { refusal = outcome } }

    var received: [Numbers] { lock.withLock { batches } }

    /// Waits until `count` items have arrived; what has arrived by then.
    func items(atLeast count: Int) -> [Int] {
        let deadline = ContinuousClock.now + patience
        return lock.withLock {
            while batches.reduce(0, { $0 + $1.itemCount }) < count, lock.wait(until: deadline) {}
            return batches.flatMap(\.values)
        }
    }

    /// Waits until it has been asked `count` more times.
    func waitForOffers(_ count: Int) {
        let deadline = ContinuousClock.now + patience
        lock.withLock {
            let goal = offers + count
            while offers < goal, lock.wait(until: deadline) {}
        }
    }
}

let full = Outcome.retryable(.queueFull, after: nil)

/// Answers each attempt with the next of its outcomes, the last one again and again; shared by all workers.
final class ScriptedDestination: @unchecked Sendable {
    private let lock = ConditionLock()
    private var script: [WriteOutcome]
    private(set) var written: [Numbers] = []
    private var attempts = 0
    private var closed = 0
    private var isBlocked: Bool

    init(_ script: [WriteOutcome] = [.written], blocked: Bool = false) {
        self.script = script
        isBlocked = blocked
    }

    var attemptCount: Int { lock.withLock { attempts } }
    var closedWriters: Int { lock.withLock { closed } }
    var items: [Int] { lock.withLock { written.flatMap(\.values) } }

    func write(_ batch: Numbers, _ cancellation: Cancellation) -> WriteOutcome {
        lock.withLock {
            attempts += 1
            lock.broadcast()
        }
        cancellation.withHandler({ [self] in unblock() }) {
            lock.withLock { while isBlocked { _ = lock.wait(until: nil) } }
        }
        return lock.withLock {
            let outcome = script.count > 1 ? script.removeFirst() : script[0]
            if outcome == .written { written.append(batch) }
            lock.broadcast()
            return outcome
        }
    }

    func unblock() {
        lock.withLock {
            isBlocked = false
            lock.broadcast()
        }
    }

    func writerClosed() { lock.withLock { closed += 1 } }

    func waitForAttempts(_ count: Int) {
        let deadline = ContinuousClock.now + patience
        lock.withLock { while attempts < count, lock.wait(until: deadline) {} }
    }
}

final class ScriptedWriter: BatchWriter {
    private let destination: ScriptedDestination

    init(_ destination: ScriptedDestination) { self.destination = destination }

    func write(_ batch: Numbers, cancellation: Cancellation) -> WriteOutcome { destination.write(batch, cancellation) }
    func close() { destination.writerClosed() }
}

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
