import OTLPWire
import Testing

@testable import Pipeline
@testable import Sampling

/// Modes `proportional` and `equalizing`.
@Suite struct ConsistentSamplingTests {
    struct Vector: CustomStringConvertible, Sendable {
        let percentage: Float
        var precision = 4
        var randomness: UInt64 = 0x80_0000_0000_0000
        var traceState = ""
        /// Tracestate and count afterwards; nil: dropped.
        var equalizing: (state: String, count: Double)?
        var proportional: (state: String, count: Double)?

        var description: String { "\(percentage) % of \(traceState) R=\(String(randomness, radix: 16))" }

        init(
            _ percentage: Float, precision: Int = 4, _ randomness: UInt64, _ traceState: String = "",
            both: (String, Double)?
        ) {
            self.init(percentage, precision: precision, randomness, traceState, equalizing: both, proportional: both)
        }

        init(
            _ percentage: Float, precision: Int = 4, _ randomness: UInt64, _ traceState: String,
            equalizing: (String, Double)?, proportional: (String, Double)?
        ) {
            self.percentage = percentage
            self.precision = precision
            self.randomness = randomness
            self.traceState = traceState
            self.equalizing = equalizing
            self.proportional = proportional
        }
    }

    private static let any: UInt64 = 0xFF_FFFF_FFFF_FFFF
    private static let half: UInt64 = 0x80_0000_0000_0000

    /// By the specification's arithmetic; the same cases have the same results in the contrib.
    static let vectors: [Vector] = [
        Vector(100, half, both: ("ot=th:0", 1)),
        Vector(200, half, both: ("ot=th:0", 1)),
        Vector(100, 0, both: ("ot=th:0", 1)),
        Vector(0, any, both: nil),
        Vector(50, half, both: ("ot=th:8", 2)),
        Vector(50, half - 1, both: nil),
        Vector(49, half, both: nil),
        Vector(25, 0xC0_0000_0000_0000, both: ("ot=th:c", 4)),
        Vector(25, 0xB0_0000_0000_0000, both: nil),
        Vector(1, 0xFE_0000_0000_0000, both: ("ot=th:fd70a", 1 / (1 - 0xFD70A.share(20)))),
        Vector(0.1, any, both: ("ot=th:ffbe77", 1 / (1 - 0xFFBE77.share(24)))),
        // An rv counts instead of the trace id, and stays as it was written.
        Vector(1, precision: 14, half, "ot=rv:FD70A3D70A3D71", both: ("ot=rv:FD70A3D70A3D71;th:fd70a3d70a3d71", 100)),
        Vector(1, precision: 14, any, "ot=rv:FD70A3D70A3D70", both: nil),
        Vector(1, half, "ot=rv:FD70A3D70A3D71", both: ("ot=rv:FD70A3D70A3D71;th:fd70a", 1 / (1 - 0xFD70A.share(20)))),
        // Three digits round the threshold up, over this value.
        Vector(1, precision: 3, half, "ot=rv:FD70A3D70A3D71", both: nil),
        Vector(40, precision: 3, half, "ot=rv:a0000000000000", both: ("ot=rv:a0000000000000;th:99a", 1 / (1 - 0x99A.share(12)))),
        // What was kept before with a probability of its own.
        Vector(
            50, half, "ot=rv:90000000000000;th:80000000000000", equalizing: ("ot=rv:90000000000000;th:8", 2), proportional: nil),
        Vector(
            50, half, "ot=rv:c0000000000000;th:8",
            equalizing: ("ot=rv:c0000000000000;th:8", 2), proportional: ("ot=rv:c0000000000000;th:c", 4)),
        Vector(25, half, "ot=th:8", both: nil),
        Vector(25, any, "ot=th:8", equalizing: ("ot=th:c", 4), proportional: ("ot=th:e", 8)),
        Vector(50, any, "ot=th:c", equalizing: ("ot=th:c", 4), proportional: ("ot=th:e", 8)),
        Vector(
            40, precision: 6, 0xD0_0000_0000_0000, "ot=th:8",
            equalizing: ("ot=th:99999a", 1 / (1 - 0x99999A.share(24))), proportional: ("ot=th:cccccd", 1 / (1 - 0xCCCCCD.share(24)))),
        Vector(
            40, precision: 3, 0xB0_0000_0000_0000, "ot=th:8",
            equalizing: ("ot=th:99a", 1 / (1 - 0x99A.share(12))), proportional: nil),
        // The ends of the range.
        Vector(100 * 0x1p-14, any, "ot=th:fffc", equalizing: ("ot=th:fffc", 0x1p14), proportional: ("ot=th:fffffff", 0x1p28)),
        Vector(0x1p-4, any, "ot=th:fffffffffffff8", equalizing: ("ot=th:fffffffffffff8", 0x1p53), proportional: nil),
        Vector(Float((1 - 8e-7) * 100), precision: 10, any, both: ("ot=th:00000cccccccd", 1 / (1 - 0xCCCCCCCD.share(52)))),
        // Rounding to few digits does not lower what was told.
        Vector(100, precision: 1, any, "ot=th:00000000000001", both: ("ot=th:00000000000001", 1)),
        // The rest of the tracestate is carried over.
        Vector(50, half, "vendor=1,ot=x:y,b=2", both: ("ot=th:8;x:y,vendor=1,b=2", 2)),
    ]

    @Test("keeps R >= T, writes T and counts 1 / probability", arguments: vectors)
    func vector(_ vector: Vector) throws {
        for (mode, expected) in [(Mode.equalizing, vector.equalizing), (.proportional, vector.proportional)] {
            let kept = try Sampling(vector.percentage, mode, precision: vector.precision)(
                TestSpan(randomness: vector.randomness, vector.traceState))
            #expect((kept == nil) == (expected == nil), "\(mode)")
            guard let kept, let expected else { continue }
            #expect(kept.traceState == expected.state, "\(mode)")
            #expect(abs(kept.count - expected.count) <= 1e-12 * expected.count, "\(mode) \(kept.count)")
            #expect(kept.reason == "probabilistic_sampler")
        }
    }

    @Test("the share that is kept is the percentage, at 0, 0.1, 50 and 100 %", arguments: [Mode.equalizing, .proportional])
    func shares(_ mode: Mode) throws {
        let spans = TestSpan.random(50_000, seed: 3)
        for percentage: Float in [0, 0.1, 50, 100] {
            let expected = Double(spans.count) * Double(percentage) / 100
            let deviation = (expected * (1 - Double(percentage) / 100)).squareRoot()
            let kept = try Sampling(percentage, mode)(spans)
            #expect(abs(Double(kept.count) - expected) <= 4 * deviation, "\(percentage): \(kept.count)")
        }
    }

    @Test("more probable samplers keep all that less probable ones keep", arguments: [Mode.equalizing, .proportional])
    func consistency(_ mode: Mode) throws {
        // Some have randomness of their own, some were sampled before.
        let spans = TestSpan.random(20_000, seed: 4) { low in
            switch low % 3 {
            case 0: "ot=rv:" + Randomness(low &* 0x9E37_79B9_7F4A_7C15).digits
            case 1 where low >= 0xC0_0000_0000_0000: "ot=th:c"
            default: ""
            }
        }
        var wider = Set(spans.map(\.spanID))
        for percentage: Float in [50, 10, 1] {
            let kept = Set(try Sampling(percentage, mode)(spans).map(\.span))
            #expect(kept.isSubset(of: wider) && !kept.isEmpty)
            wider = kept
        }
    }

    @Test("two samplers in a row keep and count as one with the product of their probabilities")
    func chained() throws {
        let spans = TestSpan.random(20_000, seed: 5)
        let twice = try Sampling(50, .proportional)(after: Sampling(25, .proportional), spans)
        #expect(twice == (try Sampling(12.5, .proportional)(spans)))
        let equalized = try Sampling(10, .equalizing)(after: Sampling(50, .equalizing), spans)
        #expect(equalized == (try Sampling(10, .equalizing)(spans)))
        // The second one has nothing left to do.
        let already = try Sampling(50, .equalizing)(after: Sampling(10, .equalizing), spans)
        #expect(already == (try Sampling(10, .equalizing)(spans)))
    }

    @Test(
        "a th by which the span would not be here drops it, or is taken back",
        arguments: [Mode.equalizing, .proportional], ["ot=th:8", "ot=rv:40000000000000;th:8"])
    func inconsistent(_ mode: Mode, _ state: String) throws {
        let span = TestSpan(randomness: 0x70_0000_0000_0000, state)
        #expect(try Sampling(100, mode)(span) == nil)
        let kept = try Sampling(1, mode, failClosed: false)(span)
        #expect(kept?.traceState == state.replacingSuffix("th:8", "th:0") && kept?.count == 1)
        #expect(kept?.reason == "probabilistic_sampler: fail open")
    }
}

extension Int {
    /// As the first `bits` bits of a threshold.
    fileprivate func share(_ bits: Int) -> Double { Double(self) / Double(1 << bits) }
}

extension Randomness {
    fileprivate var digits: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 14 - digits.count) + digits
    }
}

extension String {
    fileprivate func replacingSuffix(_ suffix: String, _ other: String) -> String { dropLast(suffix.count) + other }
}
