import Logging
import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization
import Testing

@testable import Redaction

private final class Sink: Consumer {
    let batches = Mutex<[SpanBatch]>([])
    var admission: Outcome { .accepted }
    func consume(_ batch: SpanBatch) -> Outcome {
        batches.withLock { $0.append(batch) }
        return .accepted
    }
}

private func batch(_ value: String) throws -> TraceBatch {
    var output = OutputBuffer()
    output.appendMessage(1) { resourceSpans in
        resourceSpans.appendMessage(2) { scopeSpans in
            scopeSpans.appendMessage(2) { span in
                [UInt8](repeating: 1, count: 16).withUnsafeBytes { span.appendBytesField(1, $0) }
                [UInt8](repeating: 1, count: 8).withUnsafeBytes { span.appendBytesField(2, $0) }
                Array("user.name".utf8).withUnsafeBytes { key in
                    Array(value.utf8).withUnsafeBytes { span.appendAttribute(9, key: key, string: $0) }
                }
            }
        }
    }
    return try output.withBytes { try TraceBatch.decode($0, receivedUnixNano: 1) }
}

private func value(_ batch: TraceBatch) -> String {
    var attributes = batch[0].attributes
    guard case .string(let text)? = attributes.next()?.value else { return "" }
    return String(decoding: text, as: UTF8.self)
}

@Suite struct RequestRedactorTests {
    private func config(key: Bool = true) -> PIIRedactionConfig {
        var config = PIIRedactionConfig()
        if key { config.hashKey = Rewriting.key }
        _ = config.fields.add("span.attributes.user.name", .hash)
        return config
    }

    private func processor(_ config: PIIRedactionConfig, _ sink: Sink) -> PIIRedactionProcessor {
        PIIRedactionProcessor(id: "p", config: config, next: sink, registry: MetricRegistry(), logger: Logger(label: "test"))
    }

    @Test func theProcessorPassesOnWhatWasRedactedBeforeTheLogAndNothingElse() throws {
        let sink = Sink()
        let registry = MetricRegistry()
        let redactor = RequestRedactor(processor: "p", config: config(), registry: registry)
        let redacted = try batch("Jane")
        try redactor.rewrite(redacted)
        let token = value(redacted)
        #expect(token.hasPrefix("sha256:"))
        #expect(registry.prometheusText().contains(#"collector_redaction_spans_total{processor="p"} 1"#))
        redacted.rewrittenBy = redactor.digest
        let other = try batch("Jane")
        other.rewrittenBy = redactor.digest &+ 1
        let processor = processor(config(), sink)
        for batch in [redacted, redacted.copy(), other, try batch("Jane")] {
            #expect(processor.consume(SpanBatch(batch)) == .accepted)
            #expect(value(batch) == token)
        }
    }

    @Test func aRequestWhoseHashesVaryIsRecognisedByWhatDoesNot() throws {
        let texts = [
            "a sha256:0123456789abcdef b", "sha256:sha256:0123456789abcdeX", "s", "sha256", "sha256:", "sha256:12",
            "ssha256:ffffffffffffffff.",
        ]
        let expected = [
            "a sha256:0000000000000000 b", "sha256:00000000000000009abcdeX", "s", "sha256", "sha256:", "sha256:00",
            "ssha256:0000000000000000.",
        ]
        let redactor = RequestRedactor(processor: "p", config: config(key: false), registry: MetricRegistry())
        #expect(redactor.variesByProcess)
        #expect(!RequestRedactor(processor: "p", config: config(), registry: MetricRegistry()).variesByProcess)
        for (text, expected) in zip(texts, expected) {
            var bytes = Array(text.utf8)
            bytes.withUnsafeMutableBytes { redactor.blankWhatVaries(in: $0) }
            #expect(String(decoding: bytes, as: UTF8.self) == expected)
        }
        var empty: [UInt8] = []
        empty.withUnsafeMutableBytes { redactor.blankWhatVaries(in: $0) }
    }

    @Test func aLargeRequestMayGrowWhenItIsRewritten() throws {
        let text = String(repeating: "a@b.co ", count: 500_000)
        let batch = try batch(text)
        try RequestRedactor(processor: "p", config: config(), registry: MetricRegistry()).rewrite(batch)
        #expect(value(batch).hasPrefix("sha256:"))
        var plain = PIIRedactionConfig()
        plain.hashKey = Rewriting.key
        // The tightest cap that a receiver decodes under.
        var limits = DecodeLimits()
        var bytes = OutputBuffer()
        OTLPProtobufWriter.append(try self.batch(text), to: &bytes)
        limits.arenaBytesMax = limits.ordinaryArenaCapacity(forRequestBytes: bytes.count)
        let tight = try bytes.withBytes { try TraceBatch.decode($0, receivedUnixNano: 1, limits: limits) }
        try RequestRedactor(processor: "p", config: plain, registry: MetricRegistry()).rewrite(tight)
        #expect(value(tight).utf8.count == 500_000 * 24)
    }

    private func batch(_ text: String) throws -> TraceBatch { try RedactionTests.batch(text) }
}
