import OTLPWire

extension TraceFacts {
    /// Takes in one more span.
    ///
    /// - Parameters:
    ///   - resource: what its resource meets.
    ///   - seed: of the hash that tells keys of `dynamic` apart.
    ///   - failures: conditions that could not be evaluated are counted here.
    @inline(__always)
    mutating func add(_ span: SpanView, _ criteria: SpanCriteria, resource: CriteriaSet, seed: UInt64, failures: inout Int) {
        let spend = span.genAI.flatMap { $0.isCall ? SpanSpend($0) : nil }
        let spanMet = criteria.met(by: span, resourceMet: resource, known: met, spend: spend, failures: &failures)
        add(span, met: spanMet, byteCount: span.encodedByteCount, spend: spend) {
            criteria.hasDynamicKeys ? criteria.dynamicKey(of: span, seed: seed) : 0
        }
    }
}

extension SpanSpend {
    init(_ record: GenAIRecord) {
        self.init(
            costUSD: record.totalCostUSD, promptTokens: record.promptTokens, completionTokens: record.completionTokens,
            totalTokens: record.totalTokens)
    }
}
