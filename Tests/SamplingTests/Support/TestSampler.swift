import Configuration
import OTLPWire
import Testing

@testable import Sampling

/// A tail sampler made from its configuration, and traces put together for it.
struct TestSampler {
    var config: TailSamplingConfig
    var judge: TailJudge

    /// - Parameter policies: the list under `policies:`, in YAML, not indented.
    init(_ policies: String, settings: String = "", shards: Int = 1, seed: UInt64 = 7) throws {
        let indented = policies.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(separator: "\n")
        let section = try ConfigSection(yaml: "\(settings)\npolicies:\n\(indented)\n")
        config = TailSamplingConfig(from: section)
        try #require(section.problemMessages == [])
        judge = TailJudge(config.policies, shards: shards, seed: seed)
    }

    func facts(_ spans: [TestSpan], resource: [(String, TestValue)] = [], spend: [SpanSpend?] = []) throws -> TraceFacts {
        var facts = TraceFacts()
        var failures = 0
        for (index, span) in spans.enumerated() {
            let batch = try TestSpan.batch([span], resource: resource)
            let view = batch[0]
            let spend = index < spend.count ? spend[index] : nil
            let met = config.policies.criteria.met(by: view, spend: spend, failures: &failures)
            facts.add(view, met: met, byteCount: 100, spend: spend) { config.policies.criteria.dynamicKey(of: view, seed: 1) }
        }
        return facts
    }

    mutating func decide(
        _ spans: [TestSpan], resource: [(String, TestValue)] = [], spend: [SpanSpend?] = [], id: UInt64 = 1, now: Duration = .zero
    ) throws -> TailDecision {
        judge.decide(try facts(spans, resource: resource, spend: spend), TraceID(high: 1, low: id), now: now)
    }

    mutating func keeps(_ span: TestSpan, resource: [(String, TestValue)] = []) throws -> Bool {
        try decide([span], resource: resource).isKept
    }
}

extension TestSpan {
    static func with(_ attributes: (String, TestValue)...) -> TestSpan {
        var span = TestSpan()
        span.attributes = attributes
        return span
    }

    /// A span that takes so many milliseconds.
    static func lasting(_ milliseconds: UInt64, from offset: UInt64 = 0) -> TestSpan {
        var span = TestSpan()
        span.start += offset * 1_000_000
        span.end = span.start + milliseconds * 1_000_000
        return span
    }
}
