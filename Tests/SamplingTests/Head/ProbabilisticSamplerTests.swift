import Configuration
import OTLPWire
import Testing

@testable import Pipeline
@testable import Sampling

@Suite struct ProbabilisticSamplerTests {
    static let malformedStates = [
        "ot=rv:abababababababab", "ot=th:abababababababab", "ot=th:-1", "ot=th:", "ot", "garbage", "ot=th:8,ot=th:8", "=x", "A=1",
        "ot=th:8,b=\u{e4}", "ot=th:8,c=a=b",
    ]

    @Test("a malformed tracestate drops the span or lets it pass as it is", arguments: malformedStates, Mode.allCases)
    func malformed(_ state: String, _ mode: Mode) throws {
        let span = TestSpan(randomness: 1, state)
        for percentage: Float in [0, 1, 100] {
            #expect(try Sampling(percentage, mode)(span) == nil)
            let sampling = Sampling(percentage, mode, failClosed: false)
            let kept = try sampling(span)
            #expect(kept == KeptSpans.Kept(span: 1, count: 1, reason: "probabilistic_sampler: fail open", traceState: state))
            #expect(
                sampling.registry.prometheusText().contains(
                    "collector_probabilistic_sampler_failures_total{processor=\"probabilistic_sampler\",reason=\"malformed_tracestate\"} 1")
            )
        }
    }

    static let priorities: [(TestValue, Bool?)] = [
        (.int(0), false), (.int(1), true), (.int(2), true), (.int(-1), nil), (.double(0), false), (.double(-0.0), false),
        (.double(0.5), true),
        (.double(-1), nil), (.double(.nan), nil), (.double(.infinity), true), (.string("0"), false), (.string("0.0"), false),
        (.string("1"), true), (.string("0.5"), true), (.string("+Inf"), true), (.string("-0.5"), nil), (.string("NaN"), nil),
        (.string(""), nil), (.string("yes"), nil), (.string("1e999"), nil), (.string(" 1"), nil), (.bool(true), nil), (.bool(false), nil),
        (.list([.int(1)]), nil), (.bytes([1]), nil),
    ]

    @Test("sampling.priority 0 drops, above 0 keeps, anything else leaves the decision", arguments: Mode.allCases)
    func priority(_ mode: Mode) throws {
        for (value, keeps) in Self.priorities {
            var span = TestSpan(randomness: 1)
            span.attributes = [("a", .int(1)), ("sampling.priority", value), ("sampling.priority", .int(1))]
            let low = try Sampling(0, mode)(span)
            let high = try Sampling(100, mode)(span)
            #expect((low != nil) == (keeps == true), "\(value)")
            #expect((high != nil) == (keeps != false), "\(value)")
            guard keeps == true else { continue }
            #expect(low == KeptSpans.Kept(span: 1, count: 1, reason: "sampling.priority", traceState: "ot=th:0"))
            #expect(high?.reason == "sampling.priority" && high?.count == 1)
        }
    }

    @Test("a span kept by its priority counts as it was told to count", arguments: [Mode.equalizing, .proportional])
    func priorityAfterSampling(_ mode: Mode) throws {
        var span = TestSpan(randomness: .max >> 8, "ot=th:c")
        span.attributes = [("sampling.priority", .int(1))]
        let kept = try Sampling(1, mode)(span)
        #expect(kept == KeptSpans.Kept(span: 1, count: 4, reason: "sampling.priority", traceState: "ot=th:c"))
        // Also where nothing of the tracestate can be used.
        span.traceState = "ot=th:zz"
        #expect(try Sampling(1, mode)(span)?.count == 1)
    }

    @Test("spans in a row with the same outcome are one slice with one decision")
    func slices() throws {
        let half: UInt64 = 0x80_0000_0000_0000
        let sampling = Sampling(50, .proportional)
        let randomness: [UInt64] = [half, half + 1, 0, 1, half + 2, half + 3, half + 4, 2]
        let spans = randomness.enumerated().map { TestSpan(randomness: $1, id: UInt64($0 + 1)) }
        #expect(try sampling(spans).map(\.span) == [1, 2, 5, 6, 7])
        let slices = sampling.kept.batches[0].slices
        #expect(slices.map(\.range) == [0..<2, 4..<7])
        #expect(slices[0].decision === slices[1].decision && slices[0].decision != nil)
        #expect(sampling.kept.batches[0].itemCount == 5)
    }

    @Test("the spans are not changed: another pipeline may decide differently about the same request")
    func sharing() throws {
        let batch = SpanBatch(try TestSpan.batch([TestSpan(randomness: .max >> 8, "ot=th:8")]))
        let first = Sampling(50, .proportional)
        let second = Sampling(10, .equalizing, id: "probabilistic_sampler/other")
        #expect(first.sampler.consume(batch) == .accepted && second.sampler.consume(batch) == .accepted)
        #expect(first.kept.spans.map(\.traceState) == ["ot=th:c"] && first.kept.spans.map(\.count) == [4])
        #expect(second.kept.spans.map(\.traceState) == ["ot=th:e666"])
        #expect(second.kept.spans.map(\.reason) == ["probabilistic_sampler/other"])
        #expect(KeptSpans.read(batch) == [KeptSpans.Kept(span: 1, count: 2, reason: nil, traceState: "ot=th:8")])
    }

    @Test("a decision that no tracestate tells of multiplies")
    func earlier() throws {
        let batch = try TestSpan.batch([TestSpan(randomness: .max >> 8, "x=1")])
        let earlier = SamplingDecision(adjustedCount: 7, reason: "earlier")
        for mode in [Mode.proportional, .equalizing] {
            let sampling = Sampling(25, mode)
            _ = sampling.sampler.consume(SpanBatch(slices: [SpanSlice(batch).part(0..<1, earlier)]))
            #expect(sampling.kept.spans == [KeptSpans.Kept(span: 1, count: 28, reason: "probabilistic_sampler", traceState: "ot=th:c,x=1")])
        }
    }

    @Test("a batch of which nothing is kept is accepted, and let go")
    func nothing() throws {
        let sampling = Sampling(0)
        let batch = SpanBatch(try TestSpan.batch([TestSpan(randomness: 5)]))
        #expect(sampling.sampler.consume(batch) == .accepted && sampling.kept.batches.isEmpty)
        // Also when nobody behind would take it.
        sampling.kept.refuse(.retryable(.queueFull, after: nil))
        #expect(sampling.sampler.consume(batch) == .accepted)
        #expect(sampling.sampler.admission == .retryable(.queueFull, after: nil))
    }

    @Test("each span is counted once, by what decided and how")
    func metrics() throws {
        let sampling = Sampling(100, .equalizing)
        let batch = SpanBatch(
            try TestSpan.batch([
                TestSpan(randomness: 5), TestSpan(randomness: 6, id: 2), TestSpan(randomness: 7, "ot=rv:ffffffffffffff"),
                TestSpan(randomness: 8, "ot=th:zz"),
            ]))
        sampling.kept.refuse(.retryable(.queueFull, after: nil))
        #expect(sampling.sampler.consume(batch) == .retryable(.queueFull, after: nil))
        sampling.kept.refuse(nil)
        #expect(sampling.sampler.consume(batch) == .accepted)
        let text = sampling.registry.prometheusText()
        for name in ["count_traces_sampled_total", "count_spans_processed_total"] {
            for (policy, isSampled, count) in [
                ("trace_id_w3c", true, 2), ("sampling_randomness", true, 1), ("missing_randomness", false, 1), ("trace_id_w3c", false, 0),
            ] {
                let line =
                    "otelcol_processor_probabilistic_sampler_\(name){processor=\"probabilistic_sampler\",policy=\"\(policy)\","
                    + "sampled=\"\(isSampled)\"} \(count)\n"
                #expect(text.contains(line), "\(line)")
            }
        }
    }

    // MARK: Configuration

    @Test("defaults are those of the contrib")
    func defaults() throws {
        let section = try ConfigSection(yaml: "sampling_percentage: 15.5")
        let config = ProbabilisticSamplerConfig(from: section)
        #expect(section.problemMessages.isEmpty)
        #expect(config.samplingPercentage == 15.5 && config.mode == .hashSeed && config.hashSeed == 0)
        #expect(config.failClosed && config.samplingPrecision == 4)
    }

    @Test(
        "wrong values are problems, each with its place",
        arguments: [
            ("sampling_percentage: -1", "must be at least 0"), ("sampling_percentage: .inf", "must be at least 0"),
            ("sampling_percentage: 1e-20", "too small"), ("sampling_percentage: all", "expected a number"), ("mode: tail", "not one of"),
            ("hash_seed: 4294967296", "from 0 to 4294967295"), ("sampling_precision: 0", "from 1 to 14"),
            ("sampling_precision: 15", "from 1 to 14"), ("attribute_source: record", "logs only"), ("from_attribute: x", "logs only"),
            ("sampling_priority: x", "logs only"), ("percentage: 5", "unknown key"), ("fail_closed: maybe", "true or false"),
        ])
    func problems(_ yaml: String, _ part: String) throws {
        let section = try ConfigSection(yaml: yaml)
        _ = ProbabilisticSamplerConfig(from: section)
        #expect(section.problemMessages.count == 1 && section.problemMessages[0].contains(part), "\(section.problemMessages)")
        #expect(section.problemMessages.allSatisfy { $0.hasPrefix("test.yaml:1:1") })
    }
}
