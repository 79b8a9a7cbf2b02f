import OTLPWire
@testable import Pipeline

/// An `ExportTraceServiceRequest` of spans that have nothing but ids; `ids` are their span ids, above 0.
func requestBytes(_ ids: some Sequence<UInt64>) -> [UInt8] {
    func field(_ number: UInt8, _ payload: [UInt8]) -> [UInt8] {
        precondition(payload.count < 0x4000)
        return [number << 3 | 2, UInt8(payload.count & 0x7F) | 0x80, UInt8(payload.count >> 7)] + payload
    }
    let traceID = field(1, [UInt8](repeating: 1, count: 16))
    let spans = ids.flatMap { id in field(2, traceID + field(2, withUnsafeBytes(of: id.bigEndian, Array.init))) }
    return field(1, field(2, spans))
}

/// The span ids of a batch, in order.
func spanIDs(_ batch: SpanBatch) -> [UInt64] {
    var ids: [UInt64] = []
    batch.forEach { ids.append($0.span.spanID.word) }
    return ids
}

/// The end of a pipeline that takes batches or refuses them, as it is told, and keeps them or lets them go.
final class SpanSink: Consumer, @unchecked Sendable {
    private let lock = ConditionLock()
    private var ids: [UInt64] = []
    private var replayed: [Bool] = []
    private var kept: [SpanBatch] = []
    private var refusesWhenAsked: Bool
    private var refusesAnyway = false
    private let keeps: Bool
    /// Decides per call whether to refuse; nil = only as told.
    private var whim: (() -> Bool)?

    init(refusing: Bool = false, keeps: Bool = false) {
        refusesWhenAsked = refusing
        self.keeps = keeps
    }

    var admission: Outcome {
        lock.withLock { refusesWhenAsked || whim?() == true ? full : .accepted }
    }

    func consume(_ batch: SpanBatch) -> Outcome {
        lock.withLock {
            if refusesAnyway || whim?() == true { return full }
            ids += spanIDs(batch)
            replayed.append(batch.isReplayed)
            if keeps { kept.append(batch) }
            lock.broadcast()
            return .accepted
        }
    }

    func refuse(_ refuses: Bool) { lock.withLock { refusesWhenAsked = refuses } }

    /// `admission` still says yes.
    func refuseAnyway(_ refuses: Bool) { lock.withLock { refusesAnyway = refuses } }

    func follow(_ whim: (() -> Bool)?) { lock.withLock { self.whim = whim } }

    var received: [UInt64] { lock.withLock { ids } }
    var isReplayed: [Bool] { lock.withLock { replayed } }

    /// Waits for that many spans; all that have come by then.
    func spans(atLeast count: Int) -> [UInt64] {
        let deadline = ContinuousClock.now + patience
        return lock.withLock {
            while ids.count < count, lock.wait(until: deadline) {}
            return ids
        }
    }

    /// Takes what it kept.
    func empty() -> [SpanBatch] {
        lock.withLock {
            defer { kept = [] }
            return kept
        }
    }
}
