import Testing

@testable import OTLPWire

@Suite struct TraceStateTests {
    static func state<Result>(_ text: String, _ body: (OTelTraceState) -> Result) -> Result {
        Array(text.utf8).withUnsafeBytes { body(OTelTraceState($0)) }
    }

    @Test(
        "thresholds of probabilities are those of the specification's table",
        arguments: [
            (1.0, 14, "0"), (0.5, 14, "8"), (0.25, 14, "c"), (0.1, 4, "e666"), (0.01, 4, "fd70a"), (1.0 / 3, 3, "aab"),
            (0.999, 4, "004189"), (0x1p-56, 14, "ffffffffffffff"),
        ])
    func thresholds(_ probability: Double, _ precision: Int, _ text: String) {
        let threshold = SamplingThreshold(probability: probability, precision: precision)
        #expect(threshold.text?.hasPrefix(text) == true, "\(threshold.text ?? "none")")
    }

    @Test("a threshold survives its text, and its probability is near the one asked for")
    func roundTrip() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<10_000 {
            let probability = max(Double.random(in: 0..<1, using: &random) * [1, 1e-3, 1e-9].randomElement(using: &random)!, 0x1p-50)
            for precision in [1, 4, 14] {
                let threshold = SamplingThreshold(probability: probability, precision: precision)
                #expect(SamplingThreshold(text: (threshold.text ?? "").utf8) == threshold)
                let relative = abs(threshold.probability - probability) / probability
                #expect(relative < 20 / (1 << (4 * min(precision, 5))).asDouble, "\(probability) \(precision)")
            }
        }
    }

    @Test("the share of random values that a threshold keeps is its probability")
    func share() {
        var random = SeededRandom(seed: 1)
        let threshold = SamplingThreshold(probability: 0.1, precision: 4)
        let kept = (0..<200_000).count { _ in threshold.keeps(Randomness(random.next())) }
        // 4 sigma.
        #expect(abs(Double(kept) - 20_000) < 4 * (200_000 * 0.1 * 0.9).squareRoot())
    }

    @Test("th and rv are read wherever they stand, with everything else around them")
    func reading() {
        Self.state("vendor=1, ot=rv:0123456789abcd;th:c8;x:y ,other=z") { state in
            #expect(state.threshold == SamplingThreshold(0xC8 << 48))
            #expect(state.randomness == Randomness(0x0123_4567_89AB_CD))
            #expect(!state.isMalformed)
        }
        Self.state("") { #expect($0.threshold == nil && !$0.isMalformed) }
        Self.state("vendor=th:8") { #expect($0.threshold == nil && !$0.isMalformed) }
    }

    @Test(
        "a malformed ot member is not believed",
        arguments: [
            "ot=th:zz", "ot=rv:1", "ot=th:123456789abcdef", "ot", "ot=th", "ot=TH:8", "ot=th:8,ot=th:c", "ot=th:8;;",
            "ot=" + String(repeating: "a", count: 260),
            "ot=th:",
        ])
    func malformed(_ text: String) {
        Self.state(text) { state in
            #expect(state.isMalformed && state.threshold == nil && state.randomness == nil)
            #expect(state.rewritten(threshold: .always) == nil)
        }
    }

    @Test(
        "th is written in front, and the rest is carried over",
        arguments: [
            ("", "ot=th:8"), ("vendor=1", "ot=th:8,vendor=1"), ("a=1,ot=th:4;x:y,b=2", "ot=th:8;x:y,a=1,b=2"),
            ("ot=rv:0123456789abcd", "ot=rv:0123456789abcd;th:8"),
        ])
    func rewriting(_ before: String, _ after: String) {
        Self.state(before) { state in
            let rewritten = state.rewritten(threshold: SamplingThreshold(probability: 0.5, precision: 4))
            #expect(rewritten.map { String(decoding: $0, as: UTF8.self) } == after)
        }
    }

    @Test("what is written alone is what is written into an empty tracestate")
    func alone() {
        var random = SeededRandom(seed: 3)
        var thresholds = [SamplingThreshold.always, .never, SamplingThreshold(1), SamplingThreshold(0xFF_FFFF_FFFF_FFFF), nil]
        for _ in 0..<1_000 { thresholds.append(SamplingThreshold((random.next() >> 8) << UInt64.random(in: 0..<56, using: &random))) }
        for threshold in thresholds {
            for randomness in [nil, Randomness(random.next()), Randomness(0), Randomness(0xABC)] {
                Self.state("") { state in
                    #expect(
                        OTelTraceState.alone(threshold: threshold, randomness: randomness)
                            == state.rewritten(threshold: threshold, randomness: randomness))
                }
            }
        }
    }

    @Test("explicit randomness stays as it was written, and takes the first place")
    func randomnessStays() {
        Self.state("a=1,ot=x:y;rv:ABCDEF01234567;th:4") { state in
            let rewritten = state.rewritten(threshold: .always)
            #expect(rewritten.map { String(decoding: $0, as: UTF8.self) } == "ot=rv:ABCDEF01234567;th:0;x:y,a=1")
        }
    }

    @Test(
        "a member that is none makes the whole malformed, as W3C has it",
        arguments: ["A=1,ot=th:8", "ot=th:8,=1", "ot=th:8,a=", "ot=th:8,a=b=c", "a=\u{7F},ot=th:8", "ot=th:8,b", "a b=1,ot=th:8"])
    func otherMembers(_ text: String) {
        Self.state(text) { #expect($0.isMalformed && $0.threshold == nil) }
    }

    @Test("members of every valid form are carried along", arguments: ["tenant@system=x y", "0a_-*/=!~", "a=1,,b=2", " a=1\t,\tb=2 "])
    func validMembers(_ text: String) {
        Self.state(text + ",ot=th:8") { #expect(!$0.isMalformed && $0.threshold == SamplingThreshold(0x80 << 48)) }
    }

    @Test("a threshold that keeps nothing is written as no th")
    func never() {
        Self.state("ot=th:8,a=1") { state in
            #expect(state.rewritten(threshold: nil).map { String(decoding: $0, as: UTF8.self) } == "a=1")
        }
        #expect(SamplingThreshold.never.text == nil && !SamplingThreshold.never.keeps(Randomness(.max)))
    }
}

extension Int {
    fileprivate var asDouble: Double { Double(self) }
}
