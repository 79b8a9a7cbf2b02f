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
}

/// A span on its way, with what the samplers decided about it. The decision is here and not in the span, because two
/// pipelines may decide differently on the same batch.
public struct SpanReference {
    public let span: SpanView
    /// Arrival time of the span's request, Unix nanoseconds.
    public let receivedUnixNano: UInt64
    /// 1 / probability with which this span was kept.
    public let adjustedCount: Double
    /// Name of the policy that kept it; nil when nothing was sampled.
    public let samplingReason: String?
}

/// A run of one request's spans.
public struct SpanSlice: Sendable {
    public let batch: TraceBatch
    public private(set) var range: Range<Int>

    public init(_ batch: TraceBatch) {
        self.batch = batch
        range = 0..<batch.spanCount
    }

    fileprivate init(_ batch: TraceBatch, _ range: Range<Int>) {
        self.batch = batch
        self.range = range
    }

    @inline(__always)
    public func forEach<Failure: Error>(_ body: (SpanReference) throws(Failure) -> Void) throws(Failure) {
        for index in range {
            try body(
                SpanReference(
                    span: batch[index], receivedUnixNano: batch.receivedUnixNano, adjustedCount: 1, samplingReason: nil))
        }
    }

    fileprivate mutating func removeFirst(_ count: Int) -> SpanSlice {
        let cut = range.lowerBound + count
        defer { range = cut..<range.upperBound }
        return SpanSlice(batch, range.lowerBound..<cut)
    }
}

/// Spans of one or more requests, by reference: moving it moves a few words, and each request's memory is freed when the
/// last slice of it is gone.
public struct SpanBatch: TelemetryBatch {
    public private(set) var slices: [SpanSlice]
    public private(set) var itemCount: Int
    /// Whole requests count, also for a slice of one: that is what the slice keeps alive.
    public private(set) var byteCount: Int

    public init(_ batch: TraceBatch) {
        slices = [SpanSlice(batch)]
        itemCount = batch.spanCount
        byteCount = batch.byteCount
    }

    private init(slices: [SpanSlice]) {
        self.slices = slices
        itemCount = slices.reduce(0) { $0 + $1.range.count }
        byteCount = slices.reduce(0) { $0 + $1.batch.byteCount }
    }

    /// Calls `body` for each span, in order of arrival.
    @inline(__always)
    public func forEach<Failure: Error>(_ body: (SpanReference) throws(Failure) -> Void) throws(Failure) {
        for slice in slices { try slice.forEach(body) }
    }

    /// Counts the bytes again, after a stage has written into the requests' arenas.
    public mutating func recountBytes() {
        byteCount = slices.reduce(0) { $0 + $1.batch.byteCount }
    }

    public mutating func append(_ other: SpanBatch) {
        slices.append(contentsOf: other.slices)
        itemCount += other.itemCount
        byteCount += other.byteCount
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
        self = SpanBatch(slices: Array(slices[whole...]))
        return SpanBatch(slices: taken)
    }
}
