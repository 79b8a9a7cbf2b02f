import OTLPWire
import Pipeline

/// Enriches the spans of requests, one request after another: extraction, doubles, prices, counts. One per batch and thread.
struct SpanEnricher: ~Copyable {
    /// An LLM call that was found, until its request is done: its record lies in the request's memory already.
    private struct Pending {
        let record: UnsafeMutablePointer<GenAIRecord>
        let excludesCached: Bool
    }

    /// Sums of one model's calls, to be added to its counters once.
    private struct Sums {
        let key: ModelKey
        let model: PricedModel
        var spans = 0
        var promptTokens = 0
        var completionTokens = 0
        var unpriced = 0
        var costUSD = 0.0
    }

    private let config: GenAIConfig
    private let catalogue: ModelCatalogue
    private let metrics: GenAIMetrics
    private var extractor = SpanExtractor()
    private var doubles: DuplicateCalls
    private var pending: [Pending] = []
    private var calls: [DuplicateCalls.Call] = []
    private var sums: [Sums] = []
    private var last = 0
    private var skipped = 0
    private var dropped = 0

    /// Models whose sums are kept side by side; a batch of more of them adds to the counters more often.
    private static let sumsMax = 16

    init(config: GenAIConfig, catalogue: ModelCatalogue, metrics: GenAIMetrics) {
        self.config = config
        self.catalogue = catalogue
        self.metrics = metrics
        doubles = DuplicateCalls(repeaterScopes: config.duplicateScopes)
    }

    /// Must be called once, at the end.
    mutating func finish() {
        for sum in sums { Self.add(sum) }
        sums.removeAll()
        if skipped > 0 { metrics.skippedSpans.add(skipped) }
        if dropped > 0 { metrics.droppedContent.add(dropped) }
        (skipped, dropped) = (0, 0)
    }

    /// Whether all is as configured: false when content that must not be kept could not be left out. The slice's request must have
    /// no other owner.
    mutating func enrich(_ slice: SpanSlice) -> Bool {
        let batch = slice.batch
        pending.removeAll(keepingCapacity: true)
        calls.removeAll(keepingCapacity: true)
        // One for all spans: it is too large to be handed about.
        var found = SpanExtractor.Found()
        for index in slice.range {
            let span = batch[index]
            guard extractor.extract(span, in: batch, into: &found) else { continue }
            found.record.responseID = found.responseID
            found.record.contentBytesMax = UInt32(truncatingIfNeeded: config.contentBytesMax)
            guard let record = batch.attach(found.record, toSpanAt: index) else {
                skipped += 1
                continue
            }
            guard found.record.isCall else { continue }
            pending.append(Pending(record: record, excludesCached: found.excludesCached))
            calls.append(
                DuplicateCalls.Call(
                    span: span, model: found.record.model, responseID: found.responseID, hasUsage: found.record.hasUsage))
        }
        dropDoubles()
        for call in pending { price(&call.record.pointee, excludesCached: call.excludesCached) }
        return config.captureContent || leaveOutContent(slice)
    }

    private mutating func dropDoubles() {
        guard calls.count > 1 else { return }
        var dropped: [Int] = []
        doubles.find(calls) { dropped.append($0) }
        for place in dropped { pending[place].record.pointee.clearUsage() }
        if !dropped.isEmpty { metrics.duplicateSpans.add(dropped.count) }
    }

    private mutating func price(_ record: inout GenAIRecord, excludesCached: Bool) {
        let place = sum(record.provider, record.model)
        var usage = TokenUsage()
        usage.prompt = record.promptTokens ?? 0
        usage.completion = record.completionTokens ?? 0
        usage.cached = record.cachedTokens ?? 0
        usage.cacheWrite = record.cacheWriteTokens ?? 0
        usage.reasoning = record.reasoningTokens ?? 0
        usage.excludesCached = excludesCached
        let hasTokens = record.promptTokens != nil || record.completionTokens != nil
        if record.totalCostUSD == nil, hasTokens {
            if let cost = sums[place].model.price?.cost(of: usage) {
                record.promptCostUSD = cost.prompt
                record.completionCostUSD = cost.completion
                record.totalCostUSD = cost.total
            } else {
                sums[place].unpriced += 1
            }
        }
        sums[place].spans += 1
        // Only absurd counts, `GenAILimits.tokensMax` each, overflow; counters wrap as well.
        sums[place].promptTokens &+= Int(usage.prompt)
        sums[place].completionTokens &+= Int(usage.completion)
        sums[place].costUSD += record.totalCostUSD ?? 0
    }

    /// The place in `sums` of the call's model.
    private mutating func sum(_ provider: WireBytes, _ model: WireBytes) -> Int {
        let key = ModelKey(provider: provider, model: model)
        if last < sums.count, sums[last].key == key { return last }
        if let place = sums.firstIndex(where: { $0.key == key }) {
            last = place
            return place
        }
        let fresh = Sums(key: key, model: catalogue.model(key, provider: provider, model: model))
        if sums.count < Self.sumsMax {
            sums.append(fresh)
            last = sums.count - 1
        } else {
            last = (last + 1) % Self.sumsMax
            Self.add(sums[last])
            sums[last] = fresh
        }
        return last
    }

    private static func add(_ sums: Sums) {
        let usage = sums.model.usage
        usage.spans.add(sums.spans)
        if sums.promptTokens != 0 { usage.promptTokens.add(sums.promptTokens) }
        if sums.completionTokens != 0 { usage.completionTokens.add(sums.completionTokens) }
        if sums.unpriced > 0 { usage.unpricedSpans.add(sums.unpriced) }
        if sums.costUSD > 0 { usage.add(costUSD: sums.costUSD) }
    }

    private mutating func leaveOutContent(_ slice: SpanSlice) -> Bool {
        for index in slice.range {
            let count = slice.batch.leaveOut(
                fromSpanAt: index, attributes: ContentKeys.isContent(attribute:), events: ContentKeys.isContent(event:))
            guard let count else { return false }
            dropped += count
        }
        return true
    }
}
