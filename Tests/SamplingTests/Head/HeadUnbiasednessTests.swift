import OTLPWire
import Testing

@testable import Pipeline
@testable import Sampling

/// Over many seeds the sums of what is kept, weighted by the adjusted count, are the true sums.
@Suite struct HeadUnbiasednessTests {
    private static let seeds = UInt64(200)
    private static let traces = 300

    /// Sums over one workload: spans, and a cost that differs from trace to trace.
    private struct Sums {
        var spans = 0.0
        var cost = 0.0
    }

    private static func cost(_ span: UInt64) -> Double { Double(span % 7) * Double(span % 11) }

    private static func deviation(_ values: [Double], from truth: Double) -> Double {
        let mean = values.reduce(0, +) / Double(values.count)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)
        let error = (variance / Double(values.count)).squareRoot()
        return error == 0 ? (mean == truth ? 0 : .infinity) : abs(mean - truth) / error
    }

    private static func check(_ label: String, _ estimate: (UInt64) throws -> [KeptSpans.Kept]) throws {
        var sums: [Sums] = []
        for seed in 0..<seeds {
            sums.append(
                try estimate(seed).reduce(into: Sums()) { sums, kept in
                    sums.spans += kept.count
                    sums.cost += kept.count * cost(kept.span)
                })
        }
        let truth = (1...UInt64(traces)).reduce(into: 0) { $0 += cost($1) }
        #expect(deviation(sums.map(\.spans), from: Double(traces)) < 4, "\(label) spans")
        #expect(deviation(sums.map(\.cost), from: truth) < 4, "\(label) cost")
    }

    @Test("the weighted sums of what is kept are the true sums", arguments: Mode.allCases, [Float(1), 10, 50])
    func single(_ mode: Mode, _ percentage: Float) throws {
        try Self.check("\(mode) \(percentage)") { seed in
            try Sampling(percentage, mode, seed: UInt32(seed))(TestSpan.random(Self.traces, seed: 1_000 + seed))
        }
    }

    @Test("also when a client has sampled before, at rates of its own", arguments: [Mode.proportional, .equalizing], [Float(1), 10, 50])
    func afterClient(_ mode: Mode, _ percentage: Float) throws {
        try Self.check("\(mode) \(percentage)") { seed in
            // Traces are sampled at 100 %, 50 % or 12.5 % before they come here.
            let sent = TestSpan.random(Self.traces, seed: 5_000 + seed).compactMap { span -> TestSpan? in
                let threshold: (value: UInt64, text: String) = [(0, ""), (0x80 << 48, "ot=th:8"), (0xE0 << 48, "ot=th:e")][
                    Int(span.spanID % 3)]
                var span = span
                span.traceState = threshold.text
                return span.traceID.1 & 0xFF_FFFF_FFFF_FFFF >= threshold.value ? span : nil
            }
            return try Sampling(percentage, mode)(sent)
        }
    }

    @Test("also through two samplers of one pipeline")
    func chained() throws {
        try Self.check("chain") { seed in
            try Sampling(20, .proportional)(after: Sampling(50, .proportional), TestSpan.random(Self.traces, seed: 9_000 + seed))
        }
        // The second one's randomness is that of the first one's rv.
        try Self.check("hash, then consistent") { seed in
            try Sampling(20, .proportional)(
                after: Sampling(50, .hashSeed, seed: UInt32(seed)), TestSpan.random(Self.traces, seed: 11_000 + seed))
        }
    }
}
