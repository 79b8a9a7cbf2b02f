import Logging
import OTLPWire
import SelfTelemetry

@testable import Pipeline
@testable import Sampling

typealias Mode = ProbabilisticSamplerConfig.Mode

/// A head sampler with somebody behind it.
struct Sampling {
    let kept = KeptSpans()
    let registry = MetricRegistry()
    let sampler: ProbabilisticSampler

    init(
        _ percentage: Float, _ mode: Mode = .hashSeed, seed: UInt32 = 0, failClosed: Bool = true, precision: Int = 4,
        id: String = "probabilistic_sampler"
    ) {
        var config = ProbabilisticSamplerConfig()
        config.samplingPercentage = percentage
        config.mode = mode
        config.hashSeed = seed
        config.failClosed = failClosed
        config.samplingPrecision = precision
        sampler = ProbabilisticSampler(
            id: id, config: config, next: kept, registry: registry, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// What is kept of one request.
    func callAsFunction(_ spans: [TestSpan]) throws -> [KeptSpans.Kept] {
        kept.empty()
        guard sampler.consume(SpanBatch(try TestSpan.batch(spans))) == .accepted else { return [] }
        return kept.spans
    }

    func callAsFunction(_ span: TestSpan) throws -> KeptSpans.Kept? { try self([span]).first }

    /// What is kept of what another sampler has kept.
    func callAsFunction(after other: Sampling, _ spans: [TestSpan]) throws -> [KeptSpans.Kept] {
        kept.empty()
        _ = try other(spans)
        for batch in other.kept.batches { _ = sampler.consume(batch) }
        return kept.spans
    }
}

extension TestSpan {
    /// - Parameter randomness: the low 56 bits of the trace id.
    init(randomness: UInt64, id: UInt64 = 1, _ traceState: String = "") {
        self.init(traceID: (0xFEFE_FEFE_FEFE_FEFE, 0xFE << 56 | randomness), spanID: id, traceState: traceState)
    }

    /// Spans of random traces, each with a span id of its own.
    static func random(_ count: Int, seed: UInt64, traceState: (UInt64) -> String = { _ in "" }) -> [TestSpan] {
        var random = SplitMix64(seed: seed)
        return (1...UInt64(count)).map { id in
            let low = random.next()
            return TestSpan(traceID: (random.next(), low), spanID: id, traceState: traceState(low & 0xFF_FFFF_FFFF_FFFF))
        }
    }
}
