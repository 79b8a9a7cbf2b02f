import Logging
import OTLPWire
import Pipeline
import SelfTelemetry

/// The `probabilistic_sampler` processor: keeps a share of the traces, without waiting for them and without memory of them.
///
/// The decision travels beside the spans, so the same request may be sampled differently in other pipelines. What is dropped is let
/// go with the batch: when nothing of a request is kept, its memory is freed and its record in the write-ahead log released.
public final class ProbabilisticSampler: Consumer, Component {
    public let id: String
    private let sampler: HeadSampler
    private let reasons: [String]
    private let metrics: ProbabilisticSamplerMetrics
    private let next: any Consumer<SpanBatch>

    public init(
        id: String, config: ProbabilisticSamplerConfig, next: any Consumer<SpanBatch>, registry: MetricRegistry, logger: Logger
    ) {
        self.id = id
        self.next = next
        sampler = HeadSampler(config)
        reasons = HeadSampler.Reason.allCases.map { $0.text(processor: id) }
        metrics = ProbabilisticSamplerMetrics(registry: registry, processor: id, failClosed: config.failClosed, logger: logger)
    }

    public func start() async throws {}

    public func shutdown(deadline: ContinuousClock.Instant) async {}

    public var health: ComponentHealth { .ok }

    public var admission: Outcome { next.admission }

    public func consume(_ batch: SpanBatch) -> Outcome {
        var pass = HeadSamplingPass(sampler, reasons: reasons)
        for slice in batch.slices { pass.sample(slice) }
        let outcome = pass.kept.isEmpty ? .accepted : next.consume(SpanBatch(slices: pass.kept, of: batch))
        // A batch that is refused comes again.
        if outcome == .accepted { metrics.add(pass.counts) }
        return outcome
    }
}

extension HeadSampler.Reason {
    /// The column `sampling_reason`.
    fileprivate func text(processor: String) -> String {
        switch self {
        case .sampled: processor
        case .priority: "sampling.priority"
        case .failedOpen: "\(processor): fail open"
        }
    }
}

/// One batch on its way through the sampler.
struct HeadSamplingPass {
    private let sampler: HeadSampler
    private let reasons: [String]
    private(set) var kept: [SpanSlice] = []
    private(set) var counts = ProbabilisticSamplerMetrics.Counts()
    /// The last decision made for each reason: spans in a row mostly share it.
    private var last: [SamplingDecision?]

    init(_ sampler: HeadSampler, reasons: [String]) {
        self.sampler = sampler
        self.reasons = reasons
        last = Array(repeating: nil, count: reasons.count)
    }

    mutating func sample(_ slice: SpanSlice) {
        var start = slice.range.lowerBound
        var current: SamplingDecision?
        for index in slice.range {
            let span = slice.batch[index]
            let verdict = sampler.decide(span.traceID, Self.incoming(span, slice.decision), SamplingPriority(of: span))
            counts.add(verdict)
            let decision = verdict.isKept ? self.decision(verdict, span, slice.decision) : nil
            if decision === current { continue }
            if let current { kept.append(slice.part(start..<index, current)) }
            current = decision
            start = index
        }
        if let current { kept.append(slice.part(start..<slice.range.upperBound, current)) }
    }

    @inline(__always)
    private static func incoming(_ span: SpanView, _ earlier: SamplingDecision?) -> HeadSampler.Incoming {
        var incoming = HeadSampler.Incoming()
        if !span.traceState.isEmpty {
            let state = OTelTraceState(span.traceState)
            incoming = HeadSampler.Incoming(
                threshold: state.threshold, randomness: state.randomness, isMalformed: state.isMalformed)
        }
        if let change = earlier?.traceState, !incoming.isMalformed {
            incoming.threshold = change.threshold
            incoming.randomness = change.randomness ?? incoming.randomness
        }
        return incoming
    }

    private mutating func decision(
        _ verdict: HeadSampler.Verdict, _ span: SpanView, _ earlier: SamplingDecision?
    ) -> SamplingDecision {
        let count = Self.adjustedCount(verdict, span, earlier)
        var change = earlier?.traceState
        if verdict.isWritten {
            change = SamplingDecision.TraceStateChange(
                threshold: verdict.threshold, randomness: verdict.randomness ?? change?.randomness)
        }
        let place = verdict.reason.rawValue
        if let last = last[place], last.adjustedCount == count, last.traceState == change { return last }
        let made = SamplingDecision(adjustedCount: count, reason: reasons[place], traceState: change)
        last[place] = made
        return made
    }

    /// What was counted before, by this step's probability.
    private static func adjustedCount(_ verdict: HeadSampler.Verdict, _ span: SpanView, _ earlier: SamplingDecision?) -> Double {
        // A told threshold that is a lie says nothing.
        if verdict.failure == .inconsistent { return earlier?.adjustedCount ?? 1 }
        let before = earlier?.adjustedCount ?? span.toldAdjustedCount
        if verdict.threshold == verdict.before { return before }
        // Without the rounding of a product where all that was counted is in the threshold.
        if before == verdict.before.adjustedCount { return verdict.threshold.adjustedCount }
        return before * (verdict.before.probability / verdict.threshold.probability)
    }
}
