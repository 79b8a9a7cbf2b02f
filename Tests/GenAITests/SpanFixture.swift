import Logging
import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization

@testable import GenAI

/// An attribute's value as tests write it down.
enum Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByArrayLiteral {
    case text(String)
    case int(Int64)
    case double(Double)
    case array([Value])

    init(stringLiteral text: String) { self = .text(text) }
    init(integerLiteral number: Int64) { self = .int(number) }
    init(floatLiteral number: Double) { self = .double(number) }
    init(arrayLiteral elements: Value...) { self = .array(elements) }
}

/// One span of a request, encoded by hand.
struct TestSpan {
    var traceID: UInt8 = 1
    var spanID: UInt8 = 1
    var parent: UInt8?
    var start: UInt64 = 1_767_268_800_000_000_000
    var attributes: [(String, Value)] = []
    var events: [(name: String, afterNano: UInt64, attributes: [(String, Value)])] = []
    var scope = "tests"
}

enum Request {
    private static func varint(_ value: UInt64) -> [UInt8] {
        var rest = value
        var bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func field(_ number: UInt64, _ payload: [UInt8]) -> [UInt8] {
        varint(number << 3 | 2) + varint(UInt64(payload.count)) + payload
    }

    private static func fixed(_ number: UInt64, _ value: UInt64) -> [UInt8] {
        varint(number << 3 | 1) + (0..<8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private static func value(_ value: Value) -> [UInt8] {
        switch value {
        case .text(let text): field(1, Array(text.utf8))
        case .int(let number): varint(3 << 3) + varint(UInt64(bitPattern: number))
        case .double(let number): fixed(4, number.bitPattern)
        case .array(let values): field(5, values.flatMap { field(1, Self.value($0)) })
        }
    }

    private static func attribute(_ number: UInt64, _ attribute: (String, Value)) -> [UInt8] {
        field(number, field(1, Array(attribute.0.utf8)) + field(2, value(attribute.1)))
    }

    private static func span(_ span: TestSpan) -> [UInt8] {
        var bytes = field(1, [UInt8](repeating: span.traceID, count: 16)) + field(2, [UInt8](repeating: span.spanID, count: 8))
        if let parent = span.parent { bytes += field(4, [UInt8](repeating: parent, count: 8)) }
        bytes += fixed(7, span.start) + fixed(8, span.start + 1_000_000_000)
        for attribute in span.attributes { bytes += self.attribute(9, attribute) }
        for event in span.events {
            bytes += field(
                11,
                fixed(1, span.start + event.afterNano) + field(2, Array(event.name.utf8))
                    + event.attributes.flatMap { attribute(3, $0) })
        }
        return bytes
    }

    /// Each span in a scope of its own.
    static func batch(_ spans: [TestSpan], account: (any ByteAccount)? = nil) throws -> TraceBatch {
        let scopes = spans.flatMap { field(2, field(1, field(1, Array($0.scope.utf8))) + field(2, span($0))) }
        return try field(1, scopes).withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1, account: account) }
    }
}

/// Takes what the processor hands on.
final class Collected: Consumer {
    private let batches = Mutex<[SpanBatch]>([])

    var admission: Outcome { .accepted }

    func consume(_ batch: SpanBatch) -> Outcome {
        batches.withLock { $0.append(batch) }
        return .accepted
    }
}

/// A processor with prices of its own: `a` costs 1 and 2 dollars per million tokens.
struct Stage {
    let registry = MetricRegistry()
    let processor: GenAIProcessor

    init(_ change: (inout GenAIConfig) -> Void = { _ in }) throws {
        var config = GenAIConfig()
        var price = ModelPrice()
        price.base.input = 1e-6
        price.base.output = 2e-6
        config.prices = ["a": price]
        change(&config)
        processor = GenAIProcessor(id: "genai", config: config, next: Collected(), registry: registry, logger: Logger(label: "test"))
    }

    /// The records of the spans, in order.
    func records(_ spans: [TestSpan]) throws -> [GenAIRecord?] {
        let batch = try Request.batch(spans)
        guard processor.consume(SpanBatch(batch)) == .accepted else { return [] }
        // Numbers only: the batch's memory is gone when this returns.
        return (0..<batch.spanCount).map { batch[$0].genAI }
    }
}

/// Adds up what batches say they hold.
final class CountingAccount: ByteAccount {
    private let bytes = Atomic<Int>(0)

    var held: Int { bytes.load(ordering: .relaxed) }
    func charge(_ bytes: Int) { self.bytes.wrappingAdd(bytes, ordering: .relaxed) }
    func release(_ bytes: Int) { self.bytes.wrappingSubtract(bytes, ordering: .relaxed) }
}
