import OTLPWire
import Pipeline

/// A tail sampler with a clock in the caller's hands: for benchmarks, and for trying a configuration out.
public final class TailReplay {
    /// What became of a trace, or of spans of it that came late.
    public struct Event {
        public let traceID: TraceID
        /// Of those that were kept, in the order in which they leave.
        public let spanIDs: [SpanID]
        public let spanCount: Int
        public let isKept: Bool
        /// Name of the policy that decided; nil when none held.
        public let policy: String?
        public let adjustedCount: Double
        public let time: Duration
        /// `due`, `early`, `late`, `overflow`, `tooLarge`, `shutdown`.
        public let cause: String
    }

    private let shards: TailShards
    private let showsSpans: Bool
    public private(set) var failureCount = 0

    /// - Parameter showsSpans: whether events name the spans.
    public init(
        _ config: TailSamplingConfig, shards: Int, seed: UInt64, doubles: CallDoublesFinder? = nil, showsSpans: Bool = true
    ) {
        self.shards = TailShards(
            config, shards: shards, bytesMax: config.maxMemoryMiB.map { $0 << 20 } ?? .max, seed: seed, doubles: doubles)
        self.showsSpans = showsSpans
    }

    public var undecidedTraceCount: Int { shards.traceCount }
    public var heldSpanCount: Int { shards.spanCount }
    /// Memory beside the requests' own.
    public var bookkeepingBytes: Int { shards.bookkeepingBytes }

    /// Decides about everything that is due by then, each at its own time.
    public func advance(to time: Duration) -> [Event] {
        var events: [Event] = []
        while let deadline = shards.nextDeadline, deadline <= time.nanoseconds {
            events += told(shards.decideDue(now: deadline), deadline)
        }
        return events
    }

    /// To be called with ascending times.
    public func add(_ batch: SpanBatch, at time: Duration) -> [Event] {
        advance(to: time) + told(shards.add(batch, now: time.nanoseconds), time.nanoseconds)
    }

    /// Decides about all that is left, each at its own time.
    public func finish() -> [Event] { advance(to: .nanoseconds(Int64.max)) }

    private func told(_ output: TailOutput, _ time: Int64) -> [Event] {
        failureCount += output.failures
        var spans: [TraceID: [SpanID]] = [:]
        if showsSpans {
            for slice in output.kept { slice.forEach { spans[$0.span.traceID, default: []].append($0.span.spanID) } }
        }
        return output.decided.map { trace in
            // Those of one trace come together; late ones may follow in the same output.
            let own = trace.decision.isKept ? Array((spans[trace.id] ?? []).prefix(trace.spanCount)) : []
            spans[trace.id]?.removeFirst(own.count)
            return Event(
                traceID: trace.id, spanIDs: own, spanCount: trace.spanCount, isKept: trace.decision.isKept,
                policy: trace.decision.policy.map { shards.names[$0] }, adjustedCount: trace.decision.adjustedCount,
                time: .nanoseconds(time), cause: trace.cause.rawValue)
        }
    }
}
