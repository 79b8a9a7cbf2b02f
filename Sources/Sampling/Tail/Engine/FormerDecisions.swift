import OTLPWire

/// What the sampler before this one, which a reload has replaced, decides and has decided: late spans share the fate of the rest of their
/// trace also then.
final class FormerDecisions: Sendable {
    private let shards: TailShards

    init(_ shards: TailShards) {
        self.shards = shards
    }

    /// The policy by name: numbers are each sampler's own.
    enum Fate {
        case kept(policy: String, adjustedCount: Double)
        case dropped
    }

    /// Nil when it has not decided about the trace, or does not remember.
    func fate(of id: TraceID) -> Fate? { shards.fate(of: id) }
}
