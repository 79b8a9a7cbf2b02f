import Configuration

/// `processors.memory_limiter`: keys, defaults and checks of the Go collector.
///
/// Two differences: `check_interval` may be absent, and it and the garbage collector's keys mean nothing here, because memory is
/// counted when it is taken instead of measured now and then. They are checked all the same, so that a file that is wrong for the
/// Go collector is wrong for us.
public struct MemoryLimiterConfig: Sendable, Equatable {
    /// Bytes, or a part of the memory there is.
    private enum Amount: Equatable {
        case bytes(limit: Int, spike: Int)
        case percentage(limit: Int, spike: Int)
    }

    private var amount: Amount

    /// A limit and how much of it is room for what is in already.
    public struct Bounds: Sendable, Equatable {
        public let limitBytes: Int
        public let spikeBytes: Int
    }

    /// Largest `limit_mib`: 16 TiB, so that no sum of bytes overflows.
    private static let limitMiBMax = 1 << 24
    /// The Go collector's choice when no spike limit is given: a fifth of the limit.
    private static let defaultSpikeDivisor = 5

    public init(from section: ConfigSection) {
        Self.checkIntervals(section)
        let limit = section.int("limit_mib", default: 0, in: 0...Self.limitMiBMax)
        let spike = section.int("spike_limit_mib", default: 0, in: 0...Self.limitMiBMax)
        let limitPercentage = section.int("limit_percentage", default: 0, in: 0...100)
        let spikePercentage = section.int("spike_limit_percentage", default: 0, in: 0...100)
        if limit == 0, limitPercentage == 0 {
            section.problem("limit_mib or limit_percentage must be greater than zero", at: section.has("limit_mib") ? "limit_mib" : nil)
        }
        if limit > 0, limit <= spike { section.problem("spike_limit_mib must be smaller than limit_mib", at: "spike_limit_mib") }
        if limitPercentage > 0, limitPercentage <= spikePercentage {
            section.problem("spike_limit_percentage must be smaller than limit_percentage", at: "spike_limit_percentage")
        }
        section.finish()
        // limit_mib wins over limit_percentage, as in the Go collector.
        amount =
            limit > 0
            ? .bytes(limit: limit << 20, spike: spike << 20) : .percentage(limit: max(limitPercentage, 1), spike: spikePercentage)
    }

    private static func checkIntervals(_ section: ConfigSection) {
        if section.duration("check_interval", default: .seconds(1)) <= .zero {
            section.problem("must be greater than zero", at: "check_interval")
        }
        let minSoft = section.duration("min_gc_interval_when_soft_limited", default: .seconds(10))
        let minHard = section.duration("min_gc_interval_when_hard_limited", default: .zero)
        let maxSoft = section.duration("max_gc_interval_when_soft_limited", default: .seconds(30))
        let maxHard = section.duration("max_gc_interval_when_hard_limited", default: .seconds(30))
        if minSoft < minHard {
            section.problem(
                "must not be shorter than min_gc_interval_when_hard_limited", at: "min_gc_interval_when_soft_limited")
        }
        for (longest, shortest, kind) in [(maxSoft, minSoft, "soft"), (maxHard, minHard, "hard")] where longest > .zero {
            if longest < shortest {
                section.problem(
                    "must not be shorter than min_gc_interval_when_\(kind)_limited (or 0)", at: "max_gc_interval_when_\(kind)_limited")
            }
        }
        if maxSoft > .zero, maxHard > .zero, maxSoft < maxHard {
            section.problem(
                "must not be shorter than max_gc_interval_when_hard_limited", at: "max_gc_interval_when_soft_limited")
        }
    }

    /// - Parameter totalBytes: what percentages are of.
    public func bounds(totalBytes: Int) -> Bounds {
        let limit: Int
        let spike: Int
        switch amount {
        case .bytes(let limitBytes, let spikeBytes): (limit, spike) = (limitBytes, spikeBytes)
        // The order matters: memory of exabytes would overflow the product.
        case .percentage(let limitPart, let spikePart): (limit, spike) = (totalBytes / 100 * limitPart, totalBytes / 100 * spikePart)
        }
        return Bounds(limitBytes: limit, spikeBytes: spike > 0 ? spike : limit / Self.defaultSpikeDivisor)
    }
}
