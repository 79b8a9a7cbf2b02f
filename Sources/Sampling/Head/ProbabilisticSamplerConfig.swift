import Configuration
import OTLPWire

/// `processors.probabilistic_sampler`: the contrib's keys, checks and defaults.
public struct ProbabilisticSamplerConfig: Sendable {
    public enum Mode: String, CaseIterable, Sendable {
        case hashSeed = "hash_seed"
        case proportional
        case equalizing
    }

    /// 0 drops everything, 100 and more keep everything. In 32 bits, as the contrib computes with it.
    public var samplingPercentage: Float = 0
    public var hashSeed: UInt32 = 0
    public var mode = Mode.hashSeed
    /// Whether a span is dropped (else: kept) when its tracestate says what the mode cannot work with.
    public var failClosed = true
    /// Significant hexadecimal digits of the thresholds that `proportional` and `equalizing` write.
    public var samplingPrecision = 4

    private static let logKeys = ["attribute_source", "from_attribute", "sampling_priority"]
    private static let percentageRange = 0...Double.greatestFiniteMagnitude

    public init() {}

    public init(from section: ConfigSection) {
        samplingPercentage = Float(
            section.double("sampling_percentage", default: Double(samplingPercentage), in: Self.percentageRange))
        if samplingPercentage > 0, Double(samplingPercentage) / 100 < SamplingThreshold.probabilityMin {
            section.problem("is too small: a probability below 2^-56 cannot be told", at: "sampling_percentage")
        }
        hashSeed = UInt32(section.int("hash_seed", default: Int(hashSeed), in: 0...Int(UInt32.max)))
        mode = section.choice("mode", default: mode)
        failClosed = section.bool("fail_closed", default: failClosed)
        samplingPrecision = section.int("sampling_precision", default: samplingPrecision, in: 1...SamplingThreshold.digitsMax)
        for key in Self.logKeys where section.has(key) {
            section.problem("is for logs only and does nothing to spans; leave it out", at: key)
        }
        section.finish()
    }

    var sampler: HeadSampler { HeadSampler(self) }
}
