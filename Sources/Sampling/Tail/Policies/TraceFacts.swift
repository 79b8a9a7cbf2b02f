import OTLPWire

/// What the policies need to know about a trace, gathered span by span, so that a decision does not walk the spans again.
struct TraceFacts: BitwiseCopyable {
    /// Which criteria some span (or its resource) has met.
    var met = CriteriaSet()
    var spanCount = 0
    /// Wire bytes of its spans.
    var byteCount = 0
    /// Unix nanoseconds, over spans with a start.
    var earliestStart = UInt64.max
    var latestEnd: UInt64 = 0
    var costUSD = 0.0
    var promptTokens: Int64 = 0
    var completionTokens: Int64 = 0
    var totalTokens: Int64 = 0
    /// Spans of LLM calls.
    var callCount: UInt32 = 0
    /// Hash of the attributes that `dynamic` policies tell traces apart by: the root's, or else of the first span that came.
    var dynamicKey: UInt64 = 0
    var hasRoot = false

    /// Takes in what the policies need of one more span.
    ///
    /// Whatever clients send, no figure shrinks as spans come, none is NaN or infinite, and none overflows: answers that are settled
    /// rest on it.
    ///
    /// - Parameters:
    ///   - met: what the span and its resource meet.
    ///   - byteCount: its size on the wire.
    ///   - spend: nil when it is no LLM call.
    ///   - dynamicKey: asked for when the span is the first one or the first root.
    mutating func add(_ span: SpanView, met spanMet: CriteriaSet, byteCount bytes: Int, spend: SpanSpend?, dynamicKey key: () -> UInt64) {
        met.formUnion(spanMet)
        let isRoot = span.parentSpanID == nil
        if spanCount == 0 || (isRoot && !hasRoot) { dynamicKey = key() }
        if isRoot { hasRoot = true }
        spanCount += 1
        byteCount += max(bytes, 0)
        let start = span.startTimeUnixNano
        if start > 0 { earliestStart = min(earliestStart, start) }
        latestEnd = max(latestEnd, span.endTimeUnixNano)
        guard let spend else { return }
        if callCount < .max { callCount += 1 }
        if let usd = spend.costUSD, usd > 0 { costUSD = min(costUSD + usd, Self.usdMax) }
        promptTokens = Self.sum(promptTokens, spend.promptTokens)
        completionTokens = Self.sum(completionTokens, spend.completionTokens)
        totalTokens = Self.sum(totalTokens, spend.totalTokens)
    }

    /// Takes back what a span has added that tells of a call again.
    mutating func subtract(_ spend: SpanSpend) {
        costUSD = max(costUSD - max(spend.costUSD ?? 0, 0), 0)
        promptTokens -= min(max(spend.promptTokens ?? 0, 0), promptTokens)
        completionTokens -= min(max(spend.completionTokens ?? 0, 0), completionTokens)
        totalTokens -= min(max(spend.totalTokens ?? 0, 0), totalTokens)
    }

    /// More than any trace costs; keeps sums finite.
    static let usdMax = 1e12

    private static func sum(_ before: Int64, _ more: Int64?) -> Int64 {
        guard let more, more > 0 else { return before }
        let (sum, overflow) = before.addingReportingOverflow(more)
        return overflow ? .max : sum
    }

    /// From the first start to the last end; 0 when clocks disagree.
    var durationNano: UInt64 { latestEnd > earliestStart ? latestEnd - earliestStart : 0 }
    /// Whole milliseconds, as the Go collector compares them.
    var durationMilliseconds: UInt64 { durationNano / 1_000_000 }
}

/// A set of criteria by number.
struct CriteriaSet: BitwiseCopyable, Equatable {
    static let capacity = 256

    private var words = SIMD4<UInt64>()

    var isEmpty: Bool { words == SIMD4<UInt64>() }

    func contains(_ criterion: Int) -> Bool { words[criterion >> 6] >> UInt64(criterion & 63) & 1 == 1 }

    func contains(_ other: CriteriaSet) -> Bool { words & other.words == other.words }

    mutating func insert(_ criterion: Int) { words[criterion >> 6] |= 1 << UInt64(criterion & 63) }

    mutating func formUnion(_ other: CriteriaSet) { words |= other.words }
}

/// One LLM call's figures as policies use them.
struct SpanSpend {
    var costUSD: Double?
    var promptTokens: Int64?
    var completionTokens: Int64?
    var totalTokens: Int64?
}
