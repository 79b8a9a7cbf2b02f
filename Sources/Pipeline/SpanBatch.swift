import OTLPWire

/// What travels between components. Traces, metrics and logs each have one type; queue, batcher, retry and fan-out are
/// generic over it.
public protocol TelemetryBatch: Sendable {
    /// Spans, metric points or log records.
    var itemCount: Int { get }
    /// Bytes of memory that this batch keeps alive.
    var byteCount: Int { get }
    mutating func append(_ other: Self)
    /// Takes the first `itemCount` items out, at most all.
    mutating func removeFirst(_ itemCount: Int) -> Self

    /// Whether the destination may hold some of the items already: exporters look before they insert.
    var isReplayed: Bool { get }
    /// An attempt to store the batch has ended without a known result; whoever tries next must look first.
    mutating func markInDoubt()
    /// Leaves what came from the write-ahead log in it, for the next start, although the batch is let go now.
    ///
    /// - Returns: how many items are safe by that; the others are lost.
    func keepInLog() -> Int
}

/// For what never comes from the write-ahead log.
extension TelemetryBatch {
    public var isReplayed: Bool { false }
    public mutating func markInDoubt() {}
    public func keepInLog() -> Int { 0 }
}

/// What samplers have decided about some spans of a request: beside the spans and not in them, because two pipelines may decide
/// differently on the same request. Shared by the slices it holds for.
public final class SamplingDecision: Sendable {
    /// 1 / probability with which the spans were kept, over all samplers up to now, the clients' included.
    public let adjustedCount: Double
    /// Name of the policy that kept them.
    public let reason: String
    /// What the spans' tracestate says from now on; nil where it stays as it came.
    public let traceState: TraceStateChange?
    /// What that comes to for spans without a tracestate, which most are.
    fileprivate let loneTraceState: [UInt8]
    /// The processor's id, where spans may come back to it decided: its successor after a reload must not decide again.
    public let sampler: String?

    public struct TraceStateChange: Sendable, Equatable {
        /// `th`; nil takes it out.
        public let threshold: SamplingThreshold?
        /// `rv`; nil leaves what is there.
        public let randomness: Randomness?

        public init(threshold: SamplingThreshold?, randomness: Randomness? = nil) {
            self.threshold = threshold
            self.randomness = randomness
        }
    }

    public init(adjustedCount: Double, reason: String, traceState: TraceStateChange? = nil, sampler: String? = nil) {
        self.adjustedCount = adjustedCount
        self.reason = reason
        self.traceState = traceState
        loneTraceState = traceState.map { OTelTraceState.alone(threshold: $0.threshold, randomness: $0.randomness) } ?? []
        self.sampler = sampler
    }
}

/// A span on its way, with what the samplers decided about it. Valid while its batch is held.
public struct SpanReference {
    public let span: SpanView
    /// Arrival time of the span's request, Unix nanoseconds.
    public let receivedUnixNano: UInt64
    /// The slice owns it: a reference is made for each span, and counting references would cost more than the rest of it.
    unowned(unsafe) public let decision: SamplingDecision?

    public init(span: SpanView, receivedUnixNano: UInt64, decision: SamplingDecision?) {
        self.span = span
        self.receivedUnixNano = receivedUnixNano
        self.decision = decision
    }

    /// 1 / probability with which this span was kept, as told by its tracestate (`th`) when no sampler here has seen it.
    @inline(__always)
    public var adjustedCount: Double { decision?.adjustedCount ?? span.toldAdjustedCount }

    /// The tracestate with what the samplers have changed in it.
    @inline(__always)
    public func withTraceState<Result, Failure: Error>(_ body: (WireBytes) throws(Failure) -> Result) throws(Failure) -> Result {
        guard let decision, let change = decision.traceState else { return try body(span.traceState) }
        if span.traceState.isEmpty {
            return try decision.loneTraceState.withUnsafeBufferPointer { (bytes) throws(Failure) in try body(WireBytes(bytes)) }
        }
        let state = OTelTraceState(span.traceState)
        guard let changed = state.rewritten(threshold: change.threshold, randomness: change.randomness) else {
            return try body(span.traceState)
        }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: changed.count, alignment: 1)
        defer { bytes.deallocate() }
        bytes.copyBytes(from: changed)
        return try body(WireBytes(bytes))
    }
}

/// A run of one request's spans.
public struct SpanSlice: Sendable {
    public let batch: TraceBatch
    /// The pipeline's claim on the request's record in the write-ahead log; nil without the log. When the last slice of the
    /// request is gone, the record is released for this pipeline.
    public let hold: LogHold?
    public private(set) var range: Range<Int>
    /// Nil while no sampler has decided about these spans.
    public let decision: SamplingDecision?

    public init(_ batch: TraceBatch, hold: LogHold? = nil) {
        self.init(batch, hold, 0..<batch.spanCount, nil)
    }

    fileprivate init(_ batch: TraceBatch, _ hold: LogHold?, _ range: Range<Int>, _ decision: SamplingDecision?) {
        self.batch = batch
        self.hold = hold
        self.range = range
        self.decision = decision
    }

    @inline(__always)
    public func forEach<Failure: Error>(_ body: (SpanReference) throws(Failure) -> Void) throws(Failure) {
        for index in range { try body(self[index]) }
    }

    /// The span at a position of `range`.
    @inline(__always)
    public subscript(index: Int) -> SpanReference {
        SpanReference(span: batch[index], receivedUnixNano: batch.receivedUnixNano, decision: decision)
    }

    /// Some of this slice's spans; `part` is in terms of `range`.
    public func part(_ part: Range<Int>) -> SpanSlice { self.part(part, decision) }

    /// Some of this slice's spans, about which `decision` was made.
    public func part(_ part: Range<Int>, _ decision: SamplingDecision?) -> SpanSlice {
        precondition(part.lowerBound >= range.lowerBound && part.upperBound <= range.upperBound)
        return SpanSlice(batch, hold, part, decision)
    }

    fileprivate mutating func removeFirst(_ count: Int) -> SpanSlice {
        let cut = range.lowerBound + count
        defer { range = cut..<range.upperBound }
        return SpanSlice(batch, hold, range.lowerBound..<cut, decision)
    }
}

/// Spans of one or more requests, by reference: moving it moves a few words, and each request's memory is freed when the
/// last slice of it is gone.
public struct SpanBatch: TelemetryBatch {
    public private(set) var slices: [SpanSlice]
    public private(set) var itemCount: Int
    /// Whole requests count, also for a slice of one: that is what the slice keeps alive. A request with several slices counts once,
    /// unless batches that share it were appended to each other.
    public private(set) var byteCount: Int
    /// Besides what the holds say: without the log there are none.
    private var isInDoubt = false

    public init(_ batch: TraceBatch, hold: LogHold? = nil) {
        slices = [SpanSlice(batch, hold: hold)]
        itemCount = batch.spanCount
        byteCount = batch.byteCount
    }

    public init(slices: [SpanSlice]) {
        self.slices = slices
        itemCount = slices.reduce(0) { $0 + $1.range.count }
        byteCount = Self.byteCount(of: slices)
    }

    /// What a stage keeps of `batch`.
    public init(slices: [SpanSlice], of batch: SpanBatch) {
        self.init(slices: slices)
        isInDoubt = batch.isInDoubt
    }

    private static func byteCount(of slices: [SpanSlice]) -> Int {
        var counted: Set<ObjectIdentifier> = []
        var previous: TraceBatch?
        var bytes = 0
        for slice in slices where slice.batch !== previous {
            previous = slice.batch
            if slices.count == 1 || counted.insert(ObjectIdentifier(slice.batch)).inserted { bytes += slice.batch.byteCount }
        }
        return bytes
    }

    /// Calls `body` for each span, in order of arrival.
    @inline(__always)
    public func forEach<Failure: Error>(_ body: (SpanReference) throws(Failure) -> Void) throws(Failure) {
        for slice in slices { try slice.forEach(body) }
    }

    public var isReplayed: Bool { isInDoubt || slices.contains { $0.hold?.isReplayed == true } }

    public mutating func markInDoubt() {
        isInDoubt = true
        for slice in slices { slice.hold?.markInDoubt() }
    }

    public func keepInLog() -> Int {
        slices.reduce(0) { kept, slice in
            guard let hold = slice.hold else { return kept }
            hold.keep()
            return kept + slice.range.count
        }
    }

    /// Counts the bytes again, after a stage has written into the requests' arenas.
    public mutating func recountBytes() {
        byteCount = Self.byteCount(of: slices)
    }

    public mutating func append(_ other: SpanBatch) {
        slices.append(contentsOf: other.slices)
        itemCount += other.itemCount
        byteCount += other.byteCount
        isInDoubt = isInDoubt || other.isInDoubt
    }

    public mutating func removeFirst(_ count: Int) -> SpanBatch {
        var taken: [SpanSlice] = []
        var missing = count
        var whole = 0
        while missing > 0, whole < slices.count {
            if slices[whole].range.count <= missing {
                missing -= slices[whole].range.count
                taken.append(slices[whole])
                whole += 1
            } else {
                taken.append(slices[whole].removeFirst(missing))
                missing = 0
            }
        }
        var first = SpanBatch(slices: taken)
        first.isInDoubt = isInDoubt
        self = SpanBatch(slices: Array(slices[whole...]))
        isInDoubt = first.isInDoubt
        return first
    }
}
