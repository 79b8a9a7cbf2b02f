import OTLPWire
import Testing

@testable import Pipeline
@testable import Sampling

@Suite struct HashSeedTests {
    @Test("the hash is FNV-1a over the seed, little endian, and the trace id")
    func vectors() throws {
        // 20 zero bytes; the value is also that of the contrib's test of its hash.
        #expect(TraceHash(seed: 0).hash(TraceID(high: 0, low: 0)) & 0x3FFF == 0x2455)
        for (seed, high, low) in [(UInt32(4312), UInt64(1), UInt64(2)), (0xDEAD_BEEF, .max, 0x0123_4567_89AB_CDEF)] {
            var bytes = (0..<4).map { UInt8(truncatingIfNeeded: seed >> (8 * $0)) }
            for word in [high, low] { bytes += (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
            var hash: UInt32 = 2_166_136_261
            for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
            #expect(TraceHash(seed: seed).hash(TraceID(high: high, low: low)) == hash)
        }
    }

    @Test("rv and th say what was decided", arguments: [(100, "0"), (75, "4"), (50, "8"), (25, "c"), (10, "e668"), (100.0 / 3, "aaac")])
    func thresholds(_ percentage: Double, _ threshold: String) throws {
        let percentage = Float(percentage)
        let spans = TestSpan.random(2_000, seed: 9)
        let kept = try Sampling(percentage, seed: 4312)(spans)
        #expect(!kept.isEmpty)
        let hash = TraceHash(seed: 4312)
        let buckets = UInt32(percentage * Float(163.84))
        let expected = spans.filter { hash.hash(TraceID(high: $0.traceID.0, low: $0.traceID.1)) & 0x3FFF < buckets }
        #expect(kept.map(\.span) == expected.map(\.spanID))
        for (kept, span) in zip(kept, expected) {
            let state = Array(kept.traceState.utf8)
            state.withUnsafeBytes { bytes in
                let state = OTelTraceState(WireBytes(bytes))
                #expect(state.randomness == hash.randomness(of: TraceID(high: span.traceID.0, low: span.traceID.1)))
                #expect(state.threshold?.text == threshold)
                #expect(state.threshold.map { $0.keeps(state.randomness ?? Randomness(0)) } == true)
                #expect(kept.count == state.threshold?.adjustedCount)
            }
        }
    }

    @Test("a percentage under one bucket in 2^14 keeps nothing, 0 % neither")
    func small() throws {
        #expect(try Sampling(0.006)(TestSpan.random(20_000, seed: 1)).isEmpty)
        #expect(try Sampling(0)(TestSpan.random(1_000, seed: 1)).isEmpty)
        let kept = try Sampling(0.1)(TestSpan.random(50_000, seed: 1))
        // 16 buckets.
        let expected = Double(50_000 * 16) / 16_384
        #expect(abs(Double(kept.count) - expected) < 4 * expected.squareRoot())
    }

    @Test("the same seed decides alike, another one decides anew")
    func seeds() throws {
        let spans = TestSpan.random(20_000, seed: 2)
        let first = try Sampling(10, seed: 22)(spans)
        #expect(first == (try Sampling(10, seed: 22)(spans)))
        let both = Set(first.map(\.span)).intersection(try Sampling(10, seed: 23)(spans).map(\.span))
        // Independent: 1 % of the spans.
        #expect(abs(Double(both.count) - 200) < 4 * 200.0.squareRoot())
    }

    @Test("a trace's spans share a decision, in one slice")
    func slices() throws {
        var spans: [TestSpan] = []
        for trace in UInt64(0)..<50 {
            for span in UInt64(1)...4 { spans.append(TestSpan(traceID: (trace, 77 + trace), spanID: trace * 4 + span)) }
        }
        let sampling = Sampling(50)
        let kept = try sampling(spans)
        #expect(kept.count.isMultiple(of: 4) && kept.count > 0)
        for batch in sampling.kept.batches {
            for slice in batch.slices { #expect(slice.range.count == 4 && slice.decision != nil) }
        }
    }

    @Test(
        "spans with randomness or a threshold of their own are no spans for this mode",
        arguments: ["ot=th:8", "ot=rv:ffffffffffffff", "ot=rv:ffffffffffffff;th:8,x=1"])
    func inUse(_ state: String) throws {
        let span = TestSpan(randomness: .max >> 8, state)
        #expect(try Sampling(100)(span) == nil)
        let kept = try Sampling(1, failClosed: false)(span)
        #expect(kept?.traceState == state)
        // What was told before is still true.
        #expect(kept?.count == (state.contains("th") ? 2 : 1))
        // Nothing is kept at 0 %, whatever the tracestate says.
        #expect(try Sampling(0, failClosed: false)(span) == nil)
    }
}
