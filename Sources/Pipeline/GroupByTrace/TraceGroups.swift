import OTLPWire

/// Spans gathered by trace until the trace's time is up; pure, the owner tells the time.
///
/// Only references are held: a trace is a list of slices of requests, and requests stay alive as long as one of their spans is here.
/// All traces wait equally long, so they leave in the order in which their first spans came.
struct TraceGroups {
    /// Traces that leave together, with all their spans, trace by trace.
    struct Release {
        let batch: SpanBatch
        let traceCount: Int
    }

    let config: GroupByTraceConfig
    private var slices: [TraceID: [SpanSlice]] = [:]
    /// One entry per key of `slices`, from `head` on, by deadline.
    private var order: [(trace: TraceID, deadline: ContinuousClock.Instant)] = []
    private var head = 0
    private var sliceCount = 0

    /// What a held trace and a slice of it cost beside the requests' own bytes: a dictionary entry at its usual load, an array, an
    /// entry of `order`; estimated from above.
    private static let bytesPerTrace = 160
    private static let bytesPerSlice = 2 * MemoryLayout<SpanSlice>.stride

    init(config: GroupByTraceConfig) {
        self.config = config
    }

    var traceCount: Int { slices.count }
    var bookkeepingBytes: Int { slices.count * Self.bytesPerTrace + sliceCount * Self.bytesPerSlice }
    /// When the oldest trace is to leave; nil when nothing is held.
    var nextDeadline: ContinuousClock.Instant? { head < order.count ? order[head].deadline : nil }

    mutating func add(_ batch: SpanBatch, now: ContinuousClock.Instant) {
        for slice in batch.slices {
            var begin = slice.range.lowerBound
            while begin < slice.range.upperBound {
                let trace = slice.batch[begin].traceID
                var end = begin + 1
                while end < slice.range.upperBound, slice.batch[end].traceID == trace { end += 1 }
                add(slice.part(begin..<end), of: trace, now)
                begin = end
            }
        }
    }

    private mutating func add(_ slice: SpanSlice, of trace: TraceID, _ now: ContinuousClock.Instant) {
        let held = slices.count
        slices[trace, default: []].append(slice)
        sliceCount += 1
        if slices.count > held { order.append((trace, now + config.waitDuration)) }
    }

    mutating func takeDue(now: ContinuousClock.Instant) -> Release? {
        var count = 0
        while head + count < order.count, order[head + count].deadline <= now { count += 1 }
        return takeOldest(count)
    }

    /// The traces beyond `config.tracesMax`, oldest first.
    mutating func takeExcess() -> Release? { takeOldest(slices.count - config.tracesMax) }

    mutating func takeAll() -> Release? { takeOldest(slices.count) }

    mutating func takeOldest(_ count: Int) -> Release? {
        guard count > 0, head < order.count else { return nil }
        var taken: [SpanSlice] = []
        let end = min(head + count, order.count)
        for (trace, _) in order[head..<end] {
            guard let spans = slices.removeValue(forKey: trace) else { continue }
            taken += spans
        }
        let traceCount = end - head
        head = end
        sliceCount -= taken.count
        if slices.isEmpty { slices = [:] }
        // Entries before `head` are given up when they are half of all: constant cost per trace.
        if head * 2 >= order.count {
            order.removeSubrange(..<head)
            head = 0
        }
        return Release(batch: SpanBatch(slices: taken), traceCount: traceCount)
    }
}
