import Logging
import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization
import Testing
@testable import Redaction

/// Keeps what a processor hands on.
private final class Sink: Consumer {
    let batches = Mutex<[SpanBatch]>([])
    var admission: Outcome { .accepted }
    func consume(_ batch: SpanBatch) -> Outcome {
        batches.withLock { $0.append(batch) }
        return .accepted
    }
}

private func written(_ body: (inout OutputBuffer) -> Void) -> [UInt8] {
    var output = OutputBuffer()
    body(&output)
    return output.withBytes { Array($0) }
}

private func text(_ bytes: WireBytes) -> String { String(decoding: bytes, as: UTF8.self) }

extension OutputBuffer {
    fileprivate mutating func put(_ field: UInt32, _ string: String) {
        Array(string.utf8).withUnsafeBytes { appendBytesField(field, $0) }
    }

    fileprivate mutating func attribute(_ field: UInt32, _ key: String, _ value: String) {
        Array(key.utf8).withUnsafeBytes { key in
            Array(value.utf8).withUnsafeBytes { appendAttribute(field, key: key, string: $0) }
        }
    }
}

/// A request with a sensitive value in each place.
private func request(spans: Int = 1) -> [UInt8] {
    written { request in
        request.appendMessage(1) { resourceSpans in
            resourceSpans.appendMessage(1) { $0.attribute(1, "host.ip", "10.1.2.3") }
            resourceSpans.appendMessage(2) { scopeSpans in
                for number in 0..<spans { scopeSpans.appendMessage(2) { span(&$0, UInt8(number + 1)) } }
            }
        }
    }
}

private func span(_ span: inout OutputBuffer, _ number: UInt8) {
    [UInt8](repeating: number, count: 16).withUnsafeBytes { span.appendBytesField(1, $0) }
    [UInt8](repeating: number, count: 8).withUnsafeBytes { span.appendBytesField(2, $0) }
    span.put(3, "vendor=state")
    span.put(5, "GET /users/a@b.co")
    span.attribute(9, "plain", "nothing here")
    span.attribute(9, "prompt", #"[{"content":"I am a@b.co"}]"#)
    span.attribute(9, "user.name", "Jane")
    Array("list".utf8).withUnsafeBytes { span.appendAttribute(9, key: $0, strings: ["x", "078-05-1120"]) }
    Array("count".utf8).withUnsafeBytes { span.appendAttribute(9, key: $0, int: 7) }
    Array("map".utf8).withUnsafeBytes { key in
        span.appendAttribute(9, key: key) { value in
            value.appendMessage(6) { $0.attribute(1, "inner", "a@b.co") }
        }
    }
    span.attribute(9, "last", "end")
    span.appendMessage(11) {
        $0.put(2, "exception")
        $0.attribute(3, "exception.message", "no user a@b.co")
    }
    span.appendMessage(11) { $0.put(2, "second") }
    span.appendMessage(13) { $0.put(3, "link=state") }
    span.appendMessage(15) { $0.put(2, "failed for a@b.co") }
}

private func attributes(_ view: AttributesView) -> [String] {
    view.map { attribute in
        switch attribute.value {
        case .string(let value): "\(text(attribute.key))=\(text(value))"
        case .int(let value): "\(text(attribute.key))=\(value)"
        case .array(let list):
            "\(text(attribute.key))=\(list.map { if case .string(let value) = $0 { text(value) } else { "?" } })"
        case .keyValueList(let map): "\(text(attribute.key))=\(attributes(map))"
        default: "\(text(attribute.key))=?"
        }
    }
}

@Suite struct ProcessorTests {
    private func redacted(_ config: PIIRedactionConfig) throws -> (batch: SpanBatch, registry: MetricRegistry) {
        let sink = Sink()
        let registry = MetricRegistry()
        let processor = PIIRedactionProcessor(
            id: "pii_redaction", config: config, next: sink, registry: registry, logger: Logger(label: "test"))
        let batch = try request().withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1) }
        #expect(processor.consume(SpanBatch(batch)) == .accepted)
        return (try #require(sink.batches.withLock { $0.first }), registry)
    }

    @Test func everyPlaceIsRewritten() throws {
        var config = PIIRedactionConfig()
        config.strategy = .replace
        config.places = Set(PIIRedactionConfig.Place.allCases)
        _ = config.fields.add("span.attributes.user.*", .mask)
        config.summary = true
        let (batch, registry) = try redacted(config)
        let span = batch.slices[0].batch[0]
        #expect(
            attributes(span.attributes) == [
                "plain=nothing here", #"prompt=[{"content":"I am <EMAIL>"}]"#, "user.name=****", #"list=["x", "<US_SSN>"]"#, "count=7",
                #"map=["inner=<EMAIL>"]"#, "last=end", "redaction.count=7", #"redaction.kinds=["email", "field", "us_ssn"]"#,
            ])
        #expect(span.attributeCount == 9)
        #expect(text(span.name) == "GET /users/<EMAIL>")
        #expect(text(span.status.message) == "failed for <EMAIL>")
        #expect(text(span.event(at: 0).name) == "exception")
        #expect(attributes(span.event(at: 0).attributes) == ["exception.message=no user <EMAIL>"])
        #expect(text(span.event(at: 1).name) == "second")
        #expect(text(span.link(at: 0).traceState) == "link=state")
        #expect(text(span.traceState) == "vendor=state")
        #expect(attributes(span.resource.attributes) == ["host.ip=<IP_ADDRESS>"])
        let metrics = registry.prometheusText()
        #expect(metrics.contains(#"collector_redaction_values_total{processor="pii_redaction",kind="email"} 5"#))
        #expect(metrics.contains(#"collector_redaction_spans_total{processor="pii_redaction"} 1"#))
    }

    @Test func placesThatAreNotNamedAreLeftAlone() throws {
        var config = PIIRedactionConfig()
        config.strategy = .replace
        config.places = [.name]
        let span = try redacted(config).batch.slices[0].batch[0]
        #expect(text(span.name) == "GET /users/<EMAIL>")
        #expect(text(span.status.message) == "failed for a@b.co")
        #expect(attributes(span.attributes).contains(#"prompt=[{"content":"I am a@b.co"}]"#))
        #expect(attributes(span.resource.attributes) == ["host.ip=10.1.2.3"])
    }

    @Test func removeTakesWholeAttributesAndPartsOfTexts() throws {
        var config = PIIRedactionConfig()
        config.strategy = .remove
        for field in ["span.attributes.list", "span.attributes.plain", "span.attributes.count", "span.name"] {
            let isField = config.fields.add(field, .remove)
            #expect(isField)
        }
        let span = try redacted(config).batch.slices[0].batch[0]
        #expect(attributes(span.attributes) == [#"prompt=[{"content":"I am "}]"#, "user.name=Jane", #"map=["inner="]"#, "last=end"])
        #expect(span.attributeCount == 4)
        #expect(text(span.name).isEmpty)
        #expect(text(span.status.message) == "failed for ")
    }

    @Test func whatHasNothingIsNotTouched() throws {
        var config = PIIRedactionConfig()
        config.detect = [.iban]
        let bytes = request()
        let batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1) }
        let before = batch[0].encodedAttributes.baseAddress
        let processor = PIIRedactionProcessor(
            id: "p", config: config, next: Sink(), registry: MetricRegistry(), logger: Logger(label: "test"))
        _ = processor.consume(SpanBatch(batch))
        #expect(batch[0].encodedAttributes.baseAddress == before)
    }

    @Test func aCopyIsChangedWithoutTheOriginal() throws {
        var config = PIIRedactionConfig()
        config.strategy = .replace
        config.places = [.name, .resource]
        let bytes = request(spans: 3)
        let batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1) }
        let copy = batch.copy()
        let processor = PIIRedactionProcessor(
            id: "p", config: config, next: Sink(), registry: MetricRegistry(), logger: Logger(label: "test"))
        #expect(processor.consume(SpanBatch(copy)) == .accepted)
        for index in 0..<3 {
            #expect(text(batch[index].name) == "GET /users/a@b.co")
            #expect(text(copy[index].name) == "GET /users/<EMAIL>")
            #expect(attributes(batch[index].resource.attributes) == ["host.ip=10.1.2.3"])
            #expect(attributes(copy[index].resource.attributes) == ["host.ip=<IP_ADDRESS>"])
            #expect(copy[index].resource.identity == copy[0].resource.identity)
        }
    }

    @Test func aFullArenaRefusesTheBatch() throws {
        var config = PIIRedactionConfig()
        config.strategy = .hash
        var limits = DecodeLimits()
        limits.arenaBytesFree = 3000
        limits.arenaBytesPerRequestByte = 1
        limits.changeBytesPerRequestByte = 0
        limits.changeBytesFree = 0
        let bytes = request(spans: 4)
        let batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1, limits: limits) }
        let sink = Sink()
        let registry = MetricRegistry()
        let processor = PIIRedactionProcessor(id: "p", config: config, next: sink, registry: registry, logger: Logger(label: "test"))
        #expect(processor.consume(SpanBatch(batch)) == .permanent(.tooLarge))
        #expect(sink.batches.withLock { $0.isEmpty })
        #expect(registry.prometheusText().contains(#"collector_redaction_refused_batches_total{processor="p"} 1"#))
    }

    @Test func theAccountIsChargedForWhatIsWritten() throws {
        final class Account: ByteAccount {
            let bytes = Atomic<Int>(0)
            func charge(_ count: Int) { bytes.wrappingAdd(count, ordering: .relaxed) }
            func release(_ count: Int) { bytes.wrappingSubtract(count, ordering: .relaxed) }
        }
        let account = Account()
        var config = PIIRedactionConfig()
        config.strategy = .hash
        let bytes = request(spans: 200)
        do {
            let batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1, account: account) }
            let processor = PIIRedactionProcessor(
                id: "p", config: config, next: Sink(), registry: MetricRegistry(), logger: Logger(label: "test"))
            let before = account.bytes.load(ordering: .relaxed)
            _ = processor.consume(SpanBatch(batch))
            #expect(account.bytes.load(ordering: .relaxed) == batch.byteCount)
            #expect(batch.byteCount >= before)
        }
        #expect(account.bytes.load(ordering: .relaxed) == 0)
    }
}
