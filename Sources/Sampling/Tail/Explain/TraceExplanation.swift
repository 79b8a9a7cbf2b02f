import OTLPWire

/// What a tail sampler makes of one trace, for people.
public struct TraceExplanation {
    public struct Policy {
        public let name: String
        /// Whether the trace is dropped when it holds.
        public let isDrop: Bool
        public let holds: Bool
        /// Why, a line per thing that was looked at; those of nested policies are indented by two spaces.
        public let reasons: [String]
    }

    public let traceID: TraceID
    public let spanCount: Int
    public let durationMilliseconds: UInt64
    public let costUSD: Double
    public let totalTokens: Int64
    public let policies: [Policy]
    public let isKept: Bool
    /// The policy that decided; nil when none held.
    public let policy: String?
    /// 1 / probability with which such a trace is kept; 1 when it is dropped.
    public let adjustedCount: Double
    /// The decision would fall as soon as the last of these spans has come, without waiting.
    public let isEarly: Bool
}

/// Explains decisions of a `tail_sampling` processor, each trace as the only one that there is: rates and budgets have all their room.
public struct TailExplainer {
    private let policies: TailPolicies
    private let decidesEarly: Bool

    public init(_ config: TailSamplingConfig) {
        policies = config.policies
        decidesEarly = config.decideEarly
    }

    /// - Parameter batch: spans of any number of traces, which are told in the order in which they begin.
    public func explain(_ batch: TraceBatch) -> [TraceExplanation] {
        var order: [TraceID] = []
        var spans: [TraceID: [SpanView]] = [:]
        for index in 0..<batch.spanCount {
            let span = batch[index]
            if spans[span.traceID] == nil { order.append(span.traceID) }
            spans[span.traceID, default: []].append(span)
        }
        return order.map { explain($0, spans[$0] ?? []) }
    }

    private func explain(_ id: TraceID, _ spans: [SpanView]) -> TraceExplanation {
        var facts = TraceFacts()
        var witnesses: [Int: Witness] = [:]
        var failures = 0
        for span in spans {
            var own = TraceFacts()
            own.add(
                span, policies.criteria, resource: policies.criteria.metBy(span.resource), seed: TailLimits.drawSeed, failures: &failures)
            for number in 0..<policies.criteria.count where own.met.contains(number) {
                witnesses[number, default: Witness(span)].count += 1
            }
            facts.add(
                span, policies.criteria, resource: policies.criteria.metBy(span.resource), seed: TailLimits.drawSeed, failures: &failures)
        }
        var judge = judge(policies.policies)
        let decision = judge.decide(facts, id, now: .zero)
        let words = PolicyWords(policies: policies, judge: self.judge(policies.policies), facts: facts, traceID: id, witnesses: witnesses)
        let told = policies.policies.map { policy in
            var alone = self.judge([TailPolicies.Policy(name: policy.name, node: policy.node, isDrop: false)])
            return TraceExplanation.Policy(
                name: policy.name, isDrop: policy.isDrop, holds: alone.decide(facts, id, now: .zero).isKept,
                reasons: words.lines(policy.node))
        }
        return TraceExplanation(
            traceID: id, spanCount: facts.spanCount, durationMilliseconds: facts.durationMilliseconds, costUSD: facts.costUSD,
            totalTokens: facts.totalTokens, policies: told, isKept: decision.isKept,
            policy: decision.policy.map { policies.policies[$0].name }, adjustedCount: decision.adjustedCount,
            isEarly: decidesEarly && judge.settled(facts, id) != nil)
    }

    private func judge(_ list: [TailPolicies.Policy]) -> TailJudge {
        var chosen = policies
        chosen.policies = list
        return TailJudge(chosen, shards: 1, seed: TailLimits.drawSeed)
    }

    /// The first span that met a criterion, and how many did.
    struct Witness {
        let span: SpanView
        var count = 0

        init(_ span: SpanView) {
            self.span = span
        }
    }
}
