import OTLPWire
@testable import Pipeline

/// A span as tests of grouping see it: which trace, which span.
struct SpanName: Hashable, Comparable, CustomStringConvertible {
    let trace: UInt8
    let span: UInt8

    init(_ trace: UInt8, _ span: UInt8) {
        self.trace = trace
        self.span = span
    }

    var description: String { "\(trace)/\(span)" }
    static func < (left: Self, right: Self) -> Bool { (left.trace, left.span) < (right.trace, right.span) }
}

/// A request of these spans, in this order. Ids are never zero.
func traceRequest(_ spans: [SpanName], account: (any ByteAccount)? = nil) throws -> SpanBatch {
    func field(_ number: UInt8, _ payload: [UInt8]) -> [UInt8] {
        precondition(payload.count < 0x4000)
        return [number << 3 | 2, UInt8(payload.count & 0x7F) | 0x80, UInt8(payload.count >> 7)] + payload
    }
    let encoded = spans.flatMap { name in
        field(2, field(1, [UInt8](repeating: 9, count: 15) + [name.trace]) + field(2, [1, 0, 0, 0, 0, 0, 0, name.span]))
    }
    let message = field(1, field(2, encoded))
    return SpanBatch(try message.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 7, account: account) })
}

func names(_ batch: SpanBatch) -> [SpanName] {
    var found: [SpanName] = []
    batch.forEach { reference in
        found.append(
            SpanName(UInt8(truncatingIfNeeded: reference.span.traceID.low), UInt8(truncatingIfNeeded: reference.span.spanID.word)))
    }
    return found
}

/// Keeps the names of the spans it is given, batch by batch; refuses while told so.
final class SpanRecorder: Consumer, @unchecked Sendable {
    private let lock = ConditionLock()
    private var batches: [[SpanName]] = []
    private var refusal: Outcome?
    private var offers = 0

    init(refusing: Outcome? = nil) {
        refusal = refusing
    }

    var admission: Outcome {
        lock.withLock {
            offers += 1
            lock.broadcast()
            return refusal ?? .accepted
        }
    }

    func consume(_ batch: SpanBatch) -> Outcome {
        lock.withLock {
            if let refusal { return refusal }
            batches.append(names(batch))
            lock.broadcast()
            return .accepted
        }
    }

    var received: [[SpanName]] { lock.withLock { batches } }
    func refuse(_ outcome: Outcome?) { lock.withLock { refusal = outcome } }

    func batches(atLeast count: Int) -> [[SpanName]] {
        let deadline = ContinuousClock.now + patience
        return lock.withLock {
            while batches.reduce(0, { $0 + $1.count }) < count, lock.wait(until: deadline) {}
            return batches
        }
    }

    func waitForOffers(_ count: Int) {
        let deadline = ContinuousClock.now + patience
        lock.withLock {
            let goal = offers + count
            while offers < goal, lock.wait(until: deadline) {}
        }
    }
}
