import OTLPWire

/// The decisions of `probabilistic_sampler`, span by span and without memory: the same settings decide alike everywhere.
///
/// Specifications: OpenTelemetry, "TraceState: Probability Sampling"; for `hash_seed` and for what is no specification's business
/// (priority, unusable tracestates) the behaviour of the contrib's processor.
struct HeadSampler: Sendable {
    private enum Method: Sendable {
        /// 0 %.
        case never
        case hash(TraceHash, SamplingThreshold)
        /// Multiplies the probability told by the tracestate.
        case proportional(ratio: Double, precision: Int)
        /// Raises the threshold up to this one.
        case equalizing(SamplingThreshold)
    }

    /// What a span's tracestate says after the samplers before this one.
    struct Incoming {
        var threshold: SamplingThreshold?
        /// Explicit `rv`.
        var randomness: Randomness?
        var isMalformed = false
    }

    /// Where the randomness came from: the metric's label `policy`, named as in the contrib.
    enum Source: Int, CaseIterable, Sendable {
        case traceIDHash, traceID, explicit, priority, missing

        var label: String {
            switch self {
            case .traceIDHash: "trace_id_hash"
            case .traceID: "trace_id_w3c"
            case .explicit: "sampling_randomness"
            case .priority: "sampling_priority"
            case .missing: "missing_randomness"
            }
        }
    }

    /// Why a span's tracestate could not be used.
    enum Failure: Int, CaseIterable, Sendable {
        /// Not a tracestate, or its `ot` member breaks the specification.
        case malformed
        /// By its own `th` the span would not be here.
        case inconsistent
        /// Mode `hash_seed` has randomness of its own, which says nothing about spans with `rv` or `th`.
        case inUse

        var label: String {
            switch self {
            case .malformed: "malformed_tracestate"
            case .inconsistent: "inconsistent_threshold"
            case .inUse: "randomness_in_use"
            }
        }
    }

    /// Why a span is kept.
    enum Reason: Int, CaseIterable, Sendable { case sampled, priority, failedOpen }

    struct Verdict {
        var isKept: Bool
        var source: Source
        var reason = Reason.sampled
        var failure: Failure?
        /// The probability of this step is that of `threshold` by that of `before`.
        var threshold = SamplingThreshold.always
        var before = SamplingThreshold.always
        /// Whether the tracestate says `threshold` from now on, and `randomness` where that is set.
        var isWritten = false
        var randomness: Randomness?
    }

    private let method: Method
    private let failClosed: Bool

    init(_ config: ProbabilisticSamplerConfig) {
        failClosed = config.failClosed
        let percentage = min(config.samplingPercentage, 100)
        let ratio = Double(percentage) / 100
        switch config.mode {
        case _ where percentage == 0:
            method = .never
        case .proportional:
            method = .proportional(ratio: ratio, precision: config.samplingPrecision)
        case .equalizing:
            method = .equalizing(SamplingThreshold(probability: ratio, precision: config.samplingPrecision))
        case .hashSeed:
            // In 32 bits and rounded down, as the contrib does.
            let kept = UInt64(percentage * (Float(TraceHash.buckets) / 100))
            method =
                kept == 0
                ? .never
                : .hash(TraceHash(seed: config.hashSeed), SamplingThreshold((TraceHash.buckets - min(kept, TraceHash.buckets)) << 42))
        }
    }

    func decide(_ id: TraceID, _ incoming: Incoming, _ priority: SamplingPriority) -> Verdict {
        var verdict = sampled(id, incoming)
        if verdict.failure != nil {
            verdict.isKept = !failClosed
            verdict.reason = .failedOpen
        }
        switch priority {
        case .none: break
        case .drop:
            verdict.isKept = false
            verdict.source = .priority
        case .keep:
            verdict.isKept = true
            verdict.source = .priority
            verdict.reason = .priority
            // Kept for certain: what was told before stays.
            verdict.threshold = verdict.before
        }
        return verdict
    }

    /// The decision before failures and priorities have their say.
    private func sampled(_ id: TraceID, _ incoming: Incoming) -> Verdict {
        switch method {
        case .never:
            var verdict = Verdict(isKept: false, source: .priority)
            if incoming.isMalformed {
                verdict.failure = .malformed
                return verdict
            }
            return told(incoming, in: verdict)
        case .hash(let hash, let threshold): return hashed(id, hash, threshold, incoming)
        case .proportional(let ratio, let precision):
            return consistent(id, incoming) { before in
                let probability = before.probability * ratio
                // Too small to be told.
                guard probability >= SamplingThreshold.probabilityMin else { return .never }
                return SamplingThreshold(probability: probability, precision: precision)
            }
        case .equalizing(let threshold): return consistent(id, incoming) { max($0, threshold) }
        }
    }

    private func hashed(_ id: TraceID, _ hash: TraceHash, _ threshold: SamplingThreshold, _ incoming: Incoming) -> Verdict {
        var verdict = Verdict(isKept: false, source: .traceIDHash)
        if incoming.isMalformed {
            verdict.failure = .malformed
        } else if incoming.randomness != nil || incoming.threshold != nil {
            verdict.failure = .inUse
        } else {
            let randomness = hash.randomness(of: id)
            verdict.isKept = threshold.keeps(randomness)
            verdict.threshold = threshold
            verdict.isWritten = true
            verdict.randomness = randomness
        }
        return verdict
    }

    /// Consistent probability sampling; `raise` yields the threshold for spans that were kept by another one before.
    private func consistent(
        _ id: TraceID, _ incoming: Incoming, _ raise: (SamplingThreshold) -> SamplingThreshold
    ) -> Verdict {
        var verdict = Verdict(isKept: false, source: incoming.randomness == nil ? .traceID : .explicit)
        guard !incoming.isMalformed else {
            verdict.source = .missing
            verdict.failure = .malformed
            return verdict
        }
        let randomness = incoming.randomness ?? Randomness(id.low)
        if let threshold = incoming.threshold, !threshold.keeps(randomness) {
            // It is taken back, whoever wrote it.
            verdict.failure = .inconsistent
            verdict.isWritten = true
            return verdict
        }
        verdict = told(incoming, in: verdict)
        let raised = raise(verdict.before)
        verdict.isKept = raised.keeps(randomness)
        // Rounded to few digits it may be below what was told.
        verdict.threshold = max(raised, verdict.before)
        return verdict
    }

    private func told(_ incoming: Incoming, in verdict: Verdict) -> Verdict {
        var verdict = verdict
        verdict.before = incoming.threshold ?? .always
        verdict.threshold = verdict.before
        verdict.isWritten = true
        return verdict
    }
}
