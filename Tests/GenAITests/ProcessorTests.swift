import OTLPWire
import Pipeline
import Testing

@testable import GenAI

@Suite struct ProcessorTests {
    private let call: [(String, Value)] = [
        ("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "openai"), ("gen_ai.request.model", "a"),
        ("gen_ai.usage.input_tokens", 1_000), ("gen_ai.usage.output_tokens", 500),
    ]

    @Test func aCallGetsTokensAndCost() throws {
        let record = try #require(try Stage().records([TestSpan(attributes: call)]).first ?? nil)
        #expect(record.isCall)
        #expect(record.promptTokens == 1_000 && record.completionTokens == 500 && record.totalTokens == 1_500)
        #expect(record.promptCostUSD == 1e-3 && record.completionCostUSD == 1e-3 && record.totalCostUSD == 2e-3)
    }

    @Test func otherSpansGetNoRecord() throws {
        let spans = [
            TestSpan(attributes: [("http.request.method", "GET"), ("url.full", "http://x/")]),
            TestSpan(attributes: [("gen_ai.operation.name", "execute_tool"), ("gen_ai.request.model", "a")]),
            TestSpan(),
        ]
        #expect(try Stage().records(spans).allSatisfy { $0 == nil })
    }

    @Test func anySpanKeepsItsUserAndSession() throws {
        let records = try Stage().records([
            TestSpan(attributes: [("user.id", "u")]),
            TestSpan(attributes: [("metadata", #"{"thread_id": "t", "user_id": "v"}"#)]),
        ])
        #expect(records[0]?.userSource == .user && records[0]?.isCall == false)
        #expect(records[1]?.userSource == .metadata && records[1]?.sessionSource == .metadata)
    }

    @Test func countsComeAsTextAndDoubleToo() throws {
        for (sent, expected): (Value, Int64?) in [
            ("12", 12), (12.0, 12), (" 12 ", 12), ("12.0", 12), (12.5, nil), (-1, nil), ("", nil), ("0x10", nil), ("1e3", 1_000),
            ("nan", nil), ("9223372036854775807", nil), (.int(.max), nil), (["1"], nil),
        ] {
            let span = TestSpan(attributes: [("gen_ai.request.model", "a"), ("gen_ai.usage.input_tokens", sent)])
            #expect(try Stage().records([span])[0]?.promptTokens == expected, "\(sent)")
        }
    }

    @Test func twoSpansOfOneResponseCountOnce() throws {
        var repeated = call
        repeated.append(("gen_ai.response.id", "r1"))
        let spans = [
            TestSpan(spanID: 1, attributes: repeated, scope: "com.anthropic.sdk.python"),
            TestSpan(spanID: 2, attributes: repeated, scope: "openinference.instrumentation.anthropic"),
            TestSpan(traceID: 2, spanID: 3, attributes: repeated),
        ]
        let stage = try Stage()
        let records = try stage.records(spans)
        #expect(records.map { $0?.totalTokens } == [nil, 1_500, 1_500])
        #expect(records.map { $0?.totalCostUSD } == [nil, 2e-3, 2e-3])
        #expect(stage.registry.prometheusText().contains(#"collector_genai_duplicate_spans_total{processor="genai"} 1"#))
    }

    @Test func ofAParentAndItsChildWithTheSameModelTheOneWithUsageCounts() throws {
        let bare = Array(call[..<3])
        let both = try Stage().records([TestSpan(spanID: 1, attributes: call), TestSpan(spanID: 2, parent: 1, attributes: call)])
        #expect(both.map { $0?.totalTokens } == [1_500, nil])
        let child = try Stage().records([TestSpan(spanID: 1, attributes: bare), TestSpan(spanID: 2, parent: 1, attributes: call)])
        #expect(child.map { $0?.totalTokens } == [nil, 1_500])
        var dated = call
        dated[2].1 = "a-2025-01-02"
        let named = try Stage().records([TestSpan(spanID: 1, attributes: call), TestSpan(spanID: 2, parent: 1, attributes: dated)])
        #expect(named.map { $0?.totalTokens } == [1_500, nil])
        dated[2].1 = "a-mini"
        let other = try Stage().records([TestSpan(spanID: 1, attributes: call), TestSpan(spanID: 2, parent: 1, attributes: dated)])
        #expect(other.map { $0?.totalTokens } == [1_500, 1_500])
    }

    @Test func aChainOfThreeSpansOfOneCallCountsOnce() throws {
        let spans = [
            TestSpan(spanID: 1, attributes: call), TestSpan(spanID: 2, parent: 1, attributes: call),
            TestSpan(spanID: 3, parent: 2, attributes: call),
        ]
        #expect(try Stage().records(spans).compactMap { $0?.totalTokens } == [1_500])
    }

    @Test func tenThousandSpansWithTheSameIDsAreDoneInLinearTime() throws {
        let span = TestSpan(spanID: 1, parent: 1, attributes: call + [("gen_ai.response.id", "r")])
        let records = try Stage().records(Array(repeating: span, count: 10_000))
        #expect(records.compactMap { $0?.totalTokens }.count == 1)
    }

    @Test func unknownModelsAreUnpricedAndCounted() throws {
        var attributes = call
        attributes[2].1 = "nobody-knows"
        let stage = try Stage()
        let record = try stage.records([TestSpan(attributes: attributes)])[0]
        #expect(record?.totalTokens == 1_500 && record?.totalCostUSD == nil)
        let text = stage.registry.prometheusText()
        #expect(text.contains(#"collector_genai_unpriced_spans_total{processor="genai",provider="openai",model="nobody-knows"} 1"#))
    }

    @Test func metricsAddUpAndHaveBoundedSeries() throws {
        let stage = try Stage()
        var spans: [TestSpan] = []
        for index in 0..<(GenAILimits.metricModelsMax + 50) {
            spans.append(
                TestSpan(
                    spanID: UInt8(truncatingIfNeeded: index % 250 + 1),
                    attributes: [("gen_ai.request.model", .text("m\(index)")), ("gen_ai.usage.input_tokens", 2)]))
        }
        _ = try stage.records(spans)
        _ = try stage.records(Array(repeating: TestSpan(traceID: 9, attributes: call), count: 1))
        let lines = stage.registry.prometheusText().split(separator: "\n").filter { $0.hasPrefix("collector_genai_spans_total{") }
        #expect(lines.count == GenAILimits.metricModelsMax + 1)
        #expect(lines.contains(#"collector_genai_spans_total{processor="genai",provider="other",model="other"} 51"#))
    }

    @Test func contentIsLeftOutOfEverySpanWhenItIsNotToBeKept() throws {
        let stage = try Stage { $0.captureContent = false }
        let spans = [
            TestSpan(
                attributes: call + [
                    ("gen_ai.input.messages", "secret"), ("gen_ai.prompt.0.content", "secret"), ("kept", "yes"),
                ],
                events: [("gen_ai.user.message", 5, [("content", "secret")]), ("other", 6, [])]),
            TestSpan(spanID: 2, attributes: [("traceloop.entity.input", "secret"), ("gen_ai.tool.call.arguments", "secret")]),
        ]
        let batch = try Request.batch(spans)
        #expect(stage.processor.consume(SpanBatch(batch)) == .accepted)
        #expect(batch[0].attributeCount == 6 && batch[0].eventCount == 1 && batch[0].droppedAttributesCount == 2)
        #expect(batch[0].droppedEventsCount == 1 && batch[0].event(at: 0).name.matches("other"))
        #expect(batch[0].attributes.first("kept") != nil && batch[0].genAI?.totalTokens == 1_500)
        #expect(batch[1].attributeCount == 0 && batch[1].droppedAttributesCount == 2)
        for index in 0..<2 {
            #expect(!String(decoding: batch[index].encodedAttributes, as: UTF8.self).contains("secret"))
        }
    }

    @Test func whatIsAddedToARequestIsCountedAsItsMemory() throws {
        let account = CountingAccount()
        var bytes = 0
        do {
            let spans = (0..<200).map { TestSpan(traceID: UInt8($0 + 1), attributes: call) }
            let batch = try Request.batch(spans, account: account)
            let before = account.held
            _ = try Stage().processor.consume(SpanBatch(batch))
            bytes = account.held - before
            #expect(account.held == batch.byteCount)
        }
        #expect(bytes > 0)
        #expect(account.held == 0)
    }
}
