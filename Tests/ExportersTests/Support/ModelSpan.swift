@testable import Exporters
import OTLPWire
import Pipeline

/// An OTLP value as tests write it down; the independent side of every comparison.
indirect enum ModelValue: Equatable, Sendable {
    case absent
    case string([UInt8])
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case bytes([UInt8])
    case array([ModelValue])
    case kvlist([ModelAttribute])

    static func text(_ text: String) -> ModelValue { .string(Array(text.utf8)) }

    /// What the database must give back: repaired text, one NaN, and members by key unless a key repeats.
    var normalised: ModelValue {
        switch self {
        case .absent, .bool, .int, .bytes: self
        case .string(let bytes): .string(Model.sanitised(bytes))
        case .double(let number): .double(number.isNaN ? .nan : number)
        case .array(let values): .array(values.map(\.normalised))
        case .kvlist(let members): .kvlist(Model.normalised(members))
        }
    }

    static func == (one: ModelValue, other: ModelValue) -> Bool {
        switch (one, other) {
        case (.absent, .absent): true
        case (.string(let one), .string(let other)): one == other
        case (.bool(let one), .bool(let other)): one == other
        case (.int(let one), .int(let other)): one == other
        case (.double(let one), .double(let other)): one.bitPattern == other.bitPattern
        case (.bytes(let one), .bytes(let other)): one == other
        case (.array(let one), .array(let other)): one == other
        case (.kvlist(let one), .kvlist(let other)): one == other
        default: false
        }
    }
}

struct ModelAttribute: Equatable, Sendable {
    var key: [UInt8]
    var value: ModelValue

    init(_ key: [UInt8], _ value: ModelValue) {
        self.key = key
        self.value = value
    }

    init(_ key: String, _ value: ModelValue) {
        self.init(Array(key.utf8), value)
    }
}

struct ModelEvent: Equatable, Sendable {
    var time: UInt64 = 0
    var name: [UInt8] = []
    var attributes: [ModelAttribute] = []
    var dropped: UInt32 = 0
}

struct ModelLink: Equatable, Sendable {
    var traceID: [UInt8] = Array(repeating: 7, count: 16)
    var spanID: [UInt8] = Array(repeating: 8, count: 8)
    var traceState: [UInt8] = []
    var attributes: [ModelAttribute] = []
    var dropped: UInt32 = 0
    var flags: UInt32 = 0
}

struct ModelSpan: Equatable, Sendable {
    var traceID: [UInt8] = Array(1...16)
    var spanID: [UInt8] = Array(1...8)
    var parentSpanID: [UInt8] = []
    var traceState: [UInt8] = []
    var name: [UInt8] = Array("GET /".utf8)
    var kind: Int32 = 2
    var start: UInt64 = Model.noon
    var end: UInt64 = Model.noon + 1_500_000
    var attributes: [ModelAttribute] = []
    var droppedAttributes: UInt32 = 0
    var events: [ModelEvent] = []
    var droppedEvents: UInt32 = 0
    var links: [ModelLink] = []
    var droppedLinks: UInt32 = 0
    var statusCode: Int32 = 0
    var statusMessage: [UInt8] = []
    var flags: UInt32 = 0

    var normalised: ModelSpan {
        var span = self
        span.traceState = Model.sanitised(traceState)
        span.name = Model.sanitised(name)
        span.statusMessage = Model.sanitised(statusMessage)
        span.attributes = Model.normalised(attributes)
        span.events = events.map {
            ModelEvent(time: $0.time, name: Model.sanitised($0.name), attributes: Model.normalised($0.attributes), dropped: $0.dropped)
        }
        span.links = links.map {
            var link = $0
            link.traceState = Model.sanitised($0.traceState)
            link.attributes = Model.normalised($0.attributes)
            return link
        }
        return span
    }
}

enum Model {
    /// 2026-01-01 12:00:00 UTC, Unix nanoseconds.
    static let noon: UInt64 = 1_767_268_800_000_000_000

    /// Repaired by the standard library and not by the code under test.
    static func sanitised(_ bytes: [UInt8]) -> [UInt8] {
        Array(String(decoding: bytes, as: UTF8.self).unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : String($0) }.joined().utf8)
    }

    static func normalised(_ members: [ModelAttribute]) -> [ModelAttribute] {
        let clean = members.map { ModelAttribute(sanitised($0.key), $0.value.normalised) }
        let repeats = Set(clean.map(\.key)).count < clean.count
        return repeats ? clean : clean.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }

    /// One request of one resource and scope.
    static func request(
        _ spans: [ModelSpan], resource: [ModelAttribute] = [ModelAttribute("service.name", .text("shop"))], schemaURL: String = "",
        scope: String = "tests", scopeVersion: String = "1.0"
    ) -> [UInt8] {
        var request = ProtoWriter()
        request.message(1) { resourceSpans in
            resourceSpans.message(1) { for attribute in resource { $0.attribute(1, attribute) } }
            resourceSpans.message(2) { scopeSpans in
                scopeSpans.message(1) {
                    $0.bytes(1, Array(scope.utf8))
                    $0.bytes(2, Array(scopeVersion.utf8))
                }
                for span in spans { scopeSpans.span(2, span) }
            }
            resourceSpans.bytes(3, Array(schemaURL.utf8))
        }
        return request.output
    }

    /// The decoded batch, as it reaches an exporter.
    static func batch(_ request: [UInt8], received: UInt64 = noon + 5_000_000_000) throws -> SpanBatch {
        SpanBatch(try request.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: received) })
    }

    static func batch(_ spans: [ModelSpan]) throws -> SpanBatch { try batch(request(spans)) }
}

/// Protobuf's wire format, written from its documentation.
struct ProtoWriter {
    var output: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            output.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }

    mutating func number(_ field: Int, _ value: UInt64) {
        guard value != 0 else { return }
        varint(UInt64(field) << 3)
        varint(value)
    }

    mutating func fixed64(_ field: Int, _ value: UInt64) {
        guard value != 0 else { return }
        explicitFixed64(field, value)
    }

    mutating func explicitFixed64(_ field: Int, _ value: UInt64) {
        varint(UInt64(field) << 3 | 1)
        for shift in 0..<8 { output.append(UInt8(truncatingIfNeeded: value >> UInt64(shift * 8))) }
    }

    mutating func fixed32(_ field: Int, _ value: UInt32) {
        guard value != 0 else { return }
        varint(UInt64(field) << 3 | 5)
        for shift in 0..<4 { output.append(UInt8(truncatingIfNeeded: value >> UInt32(shift * 8))) }
    }

    mutating func bytes(_ field: Int, _ value: [UInt8], always: Bool = false) {
        guard !value.isEmpty || always else { return }
        varint(UInt64(field) << 3 | 2)
        varint(UInt64(value.count))
        output += value
    }

    mutating func message(_ field: Int, _ body: (inout ProtoWriter) -> Void) {
        var inner = ProtoWriter()
        body(&inner)
        bytes(field, inner.output, always: true)
    }

    mutating func attribute(_ field: Int, _ attribute: ModelAttribute) {
        message(field) {
            $0.bytes(1, attribute.key)
            $0.message(2) { $0.value(attribute.value) }
        }
    }

    /// The content of an AnyValue; oneof members are written also when they are zero.
    mutating func value(_ value: ModelValue) {
        switch value {
        case .absent: break
        case .string(let text): bytes(1, text, always: true)
        case .bool(let flag):
            varint(2 << 3)
            varint(flag ? 1 : 0)
        case .int(let number):
            varint(3 << 3)
            varint(UInt64(bitPattern: number))
        case .double(let number): explicitFixed64(4, number.bitPattern)
        case .array(let values): message(5) { array in for value in values { array.message(1) { $0.value(value) } } }
        case .kvlist(let members): message(6) { list in for member in members { list.attribute(1, member) } }
        case .bytes(let data): bytes(7, data, always: true)
        }
    }

    mutating func span(_ field: Int, _ span: ModelSpan) {
        message(field) { out in
            out.bytes(1, span.traceID)
            out.bytes(2, span.spanID)
            out.bytes(3, span.traceState)
            out.bytes(4, span.parentSpanID)
            out.bytes(5, span.name)
            out.number(6, UInt64(bitPattern: Int64(span.kind)))
            out.fixed64(7, span.start)
            out.fixed64(8, span.end)
            for attribute in span.attributes { out.attribute(9, attribute) }
            out.number(10, UInt64(span.droppedAttributes))
            for event in span.events {
                out.message(11) {
                    $0.fixed64(1, event.time)
                    $0.bytes(2, event.name)
                    for attribute in event.attributes { $0.attribute(3, attribute) }
                    $0.number(4, UInt64(event.dropped))
                }
            }
            out.number(12, UInt64(span.droppedEvents))
            for link in span.links {
                out.message(13) {
                    $0.bytes(1, link.traceID)
                    $0.bytes(2, link.spanID)
                    $0.bytes(3, link.traceState)
                    for attribute in link.attributes { $0.attribute(4, attribute) }
                    $0.number(5, UInt64(link.dropped))
                    $0.fixed32(6, link.flags)
                }
            }
            out.number(14, UInt64(span.droppedLinks))
            out.message(15) {
                $0.bytes(2, span.statusMessage)
                $0.number(3, UInt64(bitPattern: Int64(span.statusCode)))
            }
            out.fixed32(16, span.flags)
        }
    }
}
