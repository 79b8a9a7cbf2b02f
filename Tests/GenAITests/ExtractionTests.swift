import OTLPWire
import Pipeline
import Testing

@testable import GenAI

@Suite struct ExtractionTests {
    @Test func everyKeyOfTheVocabularyIsFoundAndNoOther() {
        let vocabulary = Vocabulary.shared
        var number = 0
        for column in Vocabulary.Column.allCases {
            #expect(vocabulary.bit(column) == number)
            for key in column.keys {
                #expect(vocabulary.index.number(of: key.bytes) == number, "\(key)")
                number += 1
                for position in 0..<key.utf8CodeUnitCount {
                    var changed = Array(key.bytes)
                    changed[position] ^= 1
                    #expect(changed.withUnsafeBytes { vocabulary.index.number(of: $0) } != number - 1)
                }
                let shorter = Array(key.bytes.dropLast())
                #expect(shorter.withUnsafeBytes { vocabulary.index.number(of: $0) } != number - 1)
            }
        }
    }

    @Test(arguments: [
        ("gen_ai.prompt.0.content", GenAIIndexedFamily.prompt), ("gen_ai.completion.12.role", GenAIIndexedFamily.completion),
        ("llm.input_messages.1.message.content", GenAIIndexedFamily.inputMessages),
        ("llm.output_messages.0.message.role", GenAIIndexedFamily.outputMessages),
        ("llm.prompts.0.prompt.text", GenAIIndexedFamily.prompts), ("llm.choices.0.completion.text", GenAIIndexedFamily.choices),
        ("embedding.embeddings.3.embedding.text", GenAIIndexedFamily.embeddings),
        ("embedding.embeddings.3.embedding.vector", 0), ("gen_ai.prompt.x.content", 0), ("gen_ai.prompt.1", 0),
        ("gen_ai.prompt.1.", 0), ("gen_ai.prompt_tokens", 0), ("llm.input_messages.1.content", 0), ("gen_ai.prompt.1234567.content", 0),
    ])
    func indexedKeysBelongToTheirFamily(_ key: String, _ family: UInt8) {
        #expect(Array(key.utf8).withUnsafeBytes { GenAIIndexedFamily.family(of: $0) } == family)
    }

    @Test(arguments: [
        ("\"2026-01-01T12:00:00.5Z\"", UInt64(1_767_268_800_500_000_000)), ("2026-01-01T13:00:00.000001+01:00", 1_767_268_800_000_001_000),
        ("2026-01-01 12:00:00", 1_767_268_800_000_000_000), ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
        ("1970-01-01T00:00:00Z", 0), ("2026-01-01T12:00:00.1234567899Z", 1_767_268_800_123_456_789),
    ])
    func timesAreReadAsRFC3339(_ text: String, _ expected: UInt64) {
        #expect(Array(text.utf8).withUnsafeBytes { TimeText.unixNano($0) } == expected)
    }

    @Test(arguments: [
        "", "\"\"", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00Zx", "now", "1969-12-31T23:59:59Z", "2026-01-01T25:00:00Z",
    ])
    func otherTextIsNoTime(_ text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { TimeText.unixNano($0) } == nil)
    }

    @Test func frameworksAreNoProviders() throws {
        let found = try extract([
            ("gen_ai.system", "langchain"), ("llm.system", "OpenAI"), ("gen_ai.request.model", "x"),
        ])
        #expect(found == "openai")
        #expect(try extract([("gen_ai.system", "crewai"), ("gen_ai.request.model", "claude-3")]) == "anthropic")
        #expect(try extract([("gen_ai.system", "my-own"), ("gen_ai.request.model", "claude-3")]) == "my-own")
    }

    private func extract(_ attributes: [(String, Value)]) throws -> String? {
        let batch = try Request.batch([TestSpan(attributes: attributes)])
        var extractor = SpanExtractor()
        var found = SpanExtractor.Found()
        return extractor.extract(batch[0], in: batch, into: &found) ? String(decoding: found.record.provider, as: UTF8.self) : nil
    }

    @Test func hostileJSONIsPassedOverInReasonableTime() throws {
        let deep = String(repeating: "[", count: 1_000) + String(repeating: "]", count: 1_000)
        let texts = [
            "{\"user_id\": \"u\"", "{\"user_id\": u}", "{\"a\": \(deep), \"user_id\": \"u\"}", "{\"user_id\": \"u\"} trailing",
            String(repeating: "{\"a\":", count: 200_000), "{\"user_id\": \"\\ud8\"}", "[\"user_id\"]", "{",
            "{\"user_id\": \"u\", \"pad\": \"" + String(repeating: "x", count: 10_000_000) + "\"}",
        ]
        for text in texts {
            #expect(try Stage().records([TestSpan(attributes: [("metadata", .text(text))])])[0] == nil, "\(text.prefix(40))")
        }
    }

    /// Not a limit, since other programs may run beside: printed for whoever looks.
    @Test func theCostPerSpanIsPrinted() throws {
        let attributes: [(String, Value)] = [
            ("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "openai"), ("gen_ai.request.model", "a"),
            ("gen_ai.response.model", "a"), ("gen_ai.usage.input_tokens", 1_000), ("gen_ai.usage.output_tokens", 500),
            ("gen_ai.response.id", "chatcmpl-1"), ("gen_ai.response.finish_reasons", ["stop"]), ("server.address", "api.openai.com"),
            ("server.port", 443), ("gen_ai.request.temperature", 0.5), ("gen_ai.request.max_tokens", 100), ("user.id", "u1"),
            ("session.id", "s1"), ("gen_ai.input.messages", "[{}]"), ("gen_ai.output.messages", "[{}]"),
        ]
        let plain: [(String, Value)] = (0..<16).map { ("http.request.attribute.\($0)", "value") }
        for (name, attributes) in [("LLM", attributes), ("other", plain)] {
            let spans: [TestSpan] = (0..<512).map { index in
                TestSpan(traceID: UInt8(index % 255) + 1, spanID: UInt8(index / 255) + 1, attributes: attributes)
            }
            let stage = try Stage()
            let rounds = 20
            var elapsed = Duration.zero
            for _ in 0..<rounds {
                let batch = SpanBatch(try Request.batch(spans))
                elapsed += ContinuousClock().measure { _ = stage.processor.consume(batch) }
            }
            let nanoseconds = Double(elapsed.components.attoseconds) / 1e9 + Double(elapsed.components.seconds) * 1e9
            print("genai, \(name) spans of 16 attributes: \(nanoseconds / Double(rounds * spans.count) / 1_000) µs per span")
        }
    }
}
