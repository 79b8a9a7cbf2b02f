import Configuration
import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization

@testable import Redaction

/// An attribute's value as tests write it down and read it back.
indirect enum Value: Equatable, Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
    case text(String)
    /// A text or bytes that need not be UTF-8.
    case raw([UInt8])
    case int(Int64)
    case double(Double)
    case bool(Bool)
    case bytes([UInt8])
    case list([Value])
    case map([Attribute])
    case absent

    init(stringLiteral text: String) { self = .text(text) }
    init(integerLiteral number: Int64) { self = .int(number) }
    init(floatLiteral number: Double) { self = .double(number) }
    init(booleanLiteral flag: Bool) { self = .bool(flag) }
    init(arrayLiteral elements: Value...) { self = .list(elements) }

    init(_ view: AnyValueView) {
        switch view {
        case .string(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            self = text.utf8.elementsEqual(bytes) ? .text(text) : .raw(Array(bytes))
        case .int(let number): self = .int(number)
        case .double(let number): self = .double(number)
        case .bool(let flag): self = .bool(flag)
        case .bytes(let bytes): self = .bytes(Array(bytes))
        case .array(let elements): self = .list(elements.map(Value.init))
        case .keyValueList(let members): self = .map(members.map(Attribute.init))
        case .absent: self = .absent
        }
    }

    func write(to output: inout OutputBuffer) {
        switch self {
        case .text(let text): Array(text.utf8).withUnsafeBytes { output.appendBytesField(1, $0) }
        case .raw(let bytes): bytes.withUnsafeBytes { output.appendBytesField(1, $0) }
        case .bool(let flag): output.appendAnyValue(bool: flag)
        case .int(let number): output.appendAnyValue(int: number)
        case .double(let number): output.appendAnyValue(double: number)
        case .list(let values):
            output.appendMessage(5) { list in
                for value in values { list.appendMessage(1) { value.write(to: &$0) } }
            }
        case .map(let members):
            output.appendMessage(6) { list in
                for member in members { member.write(1, to: &list) }
            }
        case .bytes(let bytes): bytes.withUnsafeBytes { output.appendBytesField(7, $0) }
        case .absent: break
        }
    }
}

struct Attribute: Equatable, Sendable, CustomStringConvertible {
    var key: String
    var value: Value

    init(_ key: String, _ value: Value) {
        self.key = key
        self.value = value
    }

    init(_ view: KeyValueView) {
        key = String(decoding: view.key, as: UTF8.self)
        value = Value(view.value)
    }

    var description: String { "\(key)=\(value)" }

    func write(_ field: UInt32, to output: inout OutputBuffer) {
        Array(key.utf8).withUnsafeBytes { key in output.appendAttribute(field, key: key) { value.write(to: &$0) } }
    }
}

/// A request of one resource and one scope.
struct TestRequest {
    struct Span {
        var name = "GET /"
        var kind: Int32 = 3
        var attributes: [Attribute] = []
        var events: [[Attribute]] = []
    }

    var resource = [Attribute("service.name", "shop")]
    var scope: (name: String, version: String) = ("tracer", "1.0")
    var scopeAttributes: [Attribute] = []
    var spans = [Span()]

    init(_ attributes: [Attribute] = []) {
        spans[0].attributes = attributes
    }

    private func put(_ field: UInt32, _ text: String, _ output: inout OutputBuffer) {
        Array(text.utf8).withUnsafeBytes { output.appendBytesField(field, $0) }
    }

    private func write(_ span: Span, _ number: Int, _ output: inout OutputBuffer) {
        let id = [UInt8](repeating: UInt8(number % 250 + 1), count: 16)
        id.withUnsafeBytes { output.appendBytesField(1, $0) }
        id[..<8].withUnsafeBytes { output.appendBytesField(2, $0) }
        put(5, span.name, &output)
        // The field's tag, then the kind: a varint of one byte.
        output.append(UInt8(6 << 3))
        output.append(UInt8(span.kind))
        for attribute in span.attributes { attribute.write(9, to: &output) }
        for event in span.events {
            output.appendMessage(11) { message in
                put(2, "event", &message)
                for attribute in event { attribute.write(3, to: &message) }
            }
        }
    }

    var bytes: [UInt8] {
        var output = OutputBuffer()
        output.appendMessage(1) { resourceSpans in
            resourceSpans.appendMessage(1) { message in
                for attribute in resource { attribute.write(1, to: &message) }
            }
            resourceSpans.appendMessage(2) { scopeSpans in
                scopeSpans.appendMessage(1) { message in
                    put(1, scope.name, &message)
                    put(2, scope.version, &message)
                    for attribute in scopeAttributes { attribute.write(3, to: &message) }
                }
                for (number, span) in spans.enumerated() { scopeSpans.appendMessage(2) { write(span, number, &$0) } }
            }
        }
        return output.withBytes { Array($0) }
    }

    func decoded(limits: DecodeLimits = DecodeLimits()) throws -> TraceBatch {
        try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1, limits: limits) }
    }
}

/// Keeps what a processor hands on.
final class KeptBatches: Consumer {
    let batches = Mutex<[SpanBatch]>([])
    var admission: Outcome { .accepted }
    func consume(_ batch: SpanBatch) -> Outcome {
        batches.withLock { $0.append(batch) }
        return .accepted
    }
}

/// A processor that a configuration in YAML makes.
struct Stage {
    let kept = KeptBatches()
    let registry = MetricRegistry()
    let processor: any Consumer<SpanBatch> & Component

    /// - Parameter type: `attributes`, `redaction` or `resource`.
    init(_ type: String, _ yaml: String) throws {
        let section = try ConfigSection(yaml: yaml)
        switch type {
        case "attributes": processor = AttributesConfig(from: section).processor(id: type, next: kept, registry: registry)
        case "redaction": processor = KeyRedactionConfig(from: section).processor(id: type, next: kept, registry: registry)
        default: processor = ResourceConfig(from: section).processor(id: type, next: kept, registry: registry)
        }
        guard section.problemMessages.isEmpty else { throw Problems(messages: section.problemMessages) }
    }

    struct Problems: Error {
        let messages: [String]
    }

    /// What `read` finds in the first span after the processor.
    func run<Result>(_ request: TestRequest, _ read: (SpanView) throws -> Result) throws -> Result {
        let batch = try request.decoded()
        _ = processor.consume(SpanBatch(batch))
        return try withExtendedLifetime(batch) { try read(batch[0]) }
    }

    /// The attributes of one span after the processor.
    func run(_ attributes: [Attribute]) throws -> [Attribute] {
        try run(TestRequest(attributes)) { $0.attributes.map(Attribute.init) }
    }
}

/// `attributes` with one action, written as a flow mapping.
func acted(_ action: String, on attributes: [Attribute]) throws -> [Attribute] {
    try Stage("attributes", "actions: [\(action)]").run(attributes)
}
