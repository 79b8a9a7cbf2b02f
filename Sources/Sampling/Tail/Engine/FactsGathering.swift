import OTLPWire

extension TraceFacts {
    /// Takes in one more span.
    ///
    /// - Parameters:
    ///   - resource: what its resource meets.
    ///   - failures: conditions that could not be evaluated are counted here.
    @inline(__always)
    mutating func add(_ span: SpanView, _ criteria: SpanCriteria, resource: CriteriaSet, seed: UInt64, failures: inout Int) {
        let spend = span.genAI.flatMap { $0.isCall ? SpanSpend($0) : nil }
        met.formUnion(resource)
        met.formUnion(criteria.met(by: span, spend: spend, failures: &failures))
        byteCount += span.encodedByteCount
        if span.startTimeUnixNano > 0 { earliestStart = min(earliestStart, span.startTimeUnixNano) }
        latestEnd = max(latestEnd, span.endTimeUnixNano)
        if let spend {
            // What is no amount of money does not turn the sum into none.
            if let cost = spend.costUSD, cost.isFinite, cost > 0 { costUSD += cost }
            promptTokens = Self.sum(promptTokens, spend.promptTokens)
            completionTokens = Self.sum(completionTokens, spend.completionTokens)
            totalTokens = Self.sum(totalTokens, spend.totalTokens)
        }
        let isRoot = span.parentSpanID == nil
        if criteria.hasDynamicKeys, spanCount == 0 || (isRoot && !hasRoot) { dynamicKey = criteria.dynamicKey(of: span, seed: seed) }
        hasRoot = hasRoot || isRoot
        spanCount += 1
    }

    private static func sum(_ total: Int64, _ more: Int64?) -> Int64 {
        guard let more, more > 0 else { return total }
        let (sum, isTooLarge) = total.addingReportingOverflow(more)
        return isTooLarge ? .max : sum
    }
}

extension SpanSpend {
    init(_ record: GenAIRecord) {
        self.init(
            costUSD: record.totalCostUSD, promptTokens: record.promptTokens, completionTokens: record.completionTokens,
            totalTokens: record.totalTokens)
    }
}
