import Glibc

/// The messages of an export request, as far as JSON may name them.
enum WireMessage: Int, CaseIterable {
    case request, resourceSpans, resource, entityRef, scopeSpans, scope, span, event, link, status
    case keyValue, anyValue, arrayValue, keyValueList

    /// Each use of these is one level of nested values.
    var isValueContainer: Bool { self == .arrayValue || self == .keyValueList }
}

/// How a field is written in JSON, and what it is on the wire.
enum JSONFieldKind: Equatable {
    case string
    /// Bytes in hexadecimal: trace and span ids, an exception of OTLP to protobuf's JSON.
    case id
    case base64
    case bool
    case int64
    case uint32
    case enumeration
    case fixed64
    case fixed32
    case double
    case message(WireMessage)

    var wireType: WireReader.WireType {
        switch self {
        case .string, .id, .base64, .message: .lengthDelimited
        case .bool, .int64, .uint32, .enumeration: .varint
        case .fixed64, .double: .fixed64
        case .fixed32: .fixed32
        }
    }
}

/// A field in the schema table.
struct JSONField {
    /// lowerCamelCase, as OTLP requires.
    let name: StaticString
    /// The name in the .proto file, which protobuf's JSON accepts as well.
    let protoName: StaticString
    let number: UInt32
    let kind: JSONFieldKind
    var isRepeated = false

    init(_ name: StaticString, _ protoName: StaticString, _ number: UInt32, _ kind: JSONFieldKind, repeated: Bool = false) {
        self.name = name
        self.protoName = protoName
        self.number = number
        self.kind = kind
        isRepeated = repeated
    }
}

extension WireMessage {
    /// Field names and numbers of OTLP 1.11 (https://github.com/open-telemetry/opentelemetry-proto), checked by a test against
    /// the published descriptors. The string-table fields of profiles (`key_strindex`, `string_value_strindex`) have no
    /// meaning in traces and are ignored like unknown ones.
    var fields: [JSONField] {
        switch self {
        case .request: [JSONField("resourceSpans", "resource_spans", 1, .message(.resourceSpans), repeated: true)]
        case .resourceSpans:
            [
                JSONField("resource", "resource", 1, .message(.resource)),
                JSONField("scopeSpans", "scope_spans", 2, .message(.scopeSpans), repeated: true),
                JSONField("schemaUrl", "schema_url", 3, .string),
            ]
        case .resource:
            [
                JSONField("attributes", "attributes", 1, .message(.keyValue), repeated: true),
                JSONField("droppedAttributesCount", "dropped_attributes_count", 2, .uint32),
                JSONField("entityRefs", "entity_refs", 3, .message(.entityRef), repeated: true),
            ]
        case .entityRef:
            [
                JSONField("schemaUrl", "schema_url", 1, .string),
                JSONField("type", "type", 2, .string),
                JSONField("idKeys", "id_keys", 3, .string, repeated: true),
                JSONField("descriptionKeys", "description_keys", 4, .string, repeated: true),
            ]
        case .scopeSpans:
            [
                JSONField("scope", "scope", 1, .message(.scope)),
                JSONField("spans", "spans", 2, .message(.span), repeated: true),
                JSONField("schemaUrl", "schema_url", 3, .string),
            ]
        case .scope:
            [
                JSONField("name", "name", 1, .string),
                JSONField("version", "version", 2, .string),
                JSONField("attributes", "attributes", 3, .message(.keyValue), repeated: true),
                JSONField("droppedAttributesCount", "dropped_attributes_count", 4, .uint32),
            ]
        case .span: Self.spanFields
        case .event:
            [
                JSONField("timeUnixNano", "time_unix_nano", 1, .fixed64),
                JSONField("name", "name", 2, .string),
                JSONField("attributes", "attributes", 3, .message(.keyValue), repeated: true),
                JSONField("droppedAttributesCount", "dropped_attributes_count", 4, .uint32),
            ]
        case .link:
            [
                JSONField("traceId", "trace_id", 1, .id),
                JSONField("spanId", "span_id", 2, .id),
                JSONField("traceState", "trace_state", 3, .string),
                JSONField("attributes", "attributes", 4, .message(.keyValue), repeated: true),
                JSONField("droppedAttributesCount", "dropped_attributes_count", 5, .uint32),
                JSONField("flags", "flags", 6, .fixed32),
            ]
        case .status: [JSONField("message", "message", 2, .string), JSONField("code", "code", 3, .enumeration)]
        case .keyValue: [JSONField("key", "key", 1, .string), JSONField("value", "value", 2, .message(.anyValue))]
        case .anyValue:
            [
                JSONField("stringValue", "string_value", 1, .string),
                JSONField("boolValue", "bool_value", 2, .bool),
                JSONField("intValue", "int_value", 3, .int64),
                JSONField("doubleValue", "double_value", 4, .double),
                JSONField("arrayValue", "array_value", 5, .message(.arrayValue)),
                JSONField("kvlistValue", "kvlist_value", 6, .message(.keyValueList)),
                JSONField("bytesValue", "bytes_value", 7, .base64),
            ]
        case .arrayValue: [JSONField("values", "values", 1, .message(.anyValue), repeated: true)]
        case .keyValueList: [JSONField("values", "values", 1, .message(.keyValue), repeated: true)]
        }
    }

    private static var spanFields: [JSONField] {
        [
            JSONField("traceId", "trace_id", 1, .id),
            JSONField("spanId", "span_id", 2, .id),
            JSONField("traceState", "trace_state", 3, .string),
            JSONField("parentSpanId", "parent_span_id", 4, .id),
            JSONField("flags", "flags", 16, .fixed32),
            JSONField("name", "name", 5, .string),
            JSONField("kind", "kind", 6, .enumeration),
            JSONField("startTimeUnixNano", "start_time_unix_nano", 7, .fixed64),
            JSONField("endTimeUnixNano", "end_time_unix_nano", 8, .fixed64),
            JSONField("attributes", "attributes", 9, .message(.keyValue), repeated: true),
            JSONField("droppedAttributesCount", "dropped_attributes_count", 10, .uint32),
            JSONField("events", "events", 11, .message(.event), repeated: true),
            JSONField("droppedEventsCount", "dropped_events_count", 12, .uint32),
            JSONField("links", "links", 13, .message(.link), repeated: true),
            JSONField("droppedLinksCount", "dropped_links_count", 14, .uint32),
            JSONField("status", "status", 15, .message(.status)),
        ]
    }
}

/// The schema table in the form the transcoder looks keys up in: plain memory that lives as long as the process.
struct JSONSchema: @unchecked Sendable {
    /// One accepted name of a field.
    struct Entry {
        let field: JSONField
        /// The first eight bytes of the name, zero-filled, and its length: enough to tell nearly all names apart.
        let nameHead: UInt64
        let nameLength: Int
        let name: UnsafeRawPointer
        /// In a oneof a default value says which member is set, so it is written.
        let isOneof: Bool
    }

    static let shared = JSONSchema()

    private let messages: UnsafeMutablePointer<UnsafeBufferPointer<Entry>>

    private init() {
        messages = .allocate(capacity: WireMessage.allCases.count)
        for message in WireMessage.allCases {
            let fields = message.fields
            // The proper names first, in the order in which clients write them.
            var names = fields.map { ($0.name, $0) }
            names += fields.filter { !Self.sameName($0.name, $0.protoName) }.map { ($0.protoName, $0) }
            let entries = UnsafeMutablePointer<Entry>.allocate(capacity: names.count)
            for (index, (name, field)) in names.enumerated() {
                let bytes = WireBytes(start: name.utf8Start, count: name.utf8CodeUnitCount)
                var head: UInt64 = 0
                withUnsafeMutableBytes(of: &head) { $0.copyBytes(from: bytes.prefix(8)) }
                (entries + index).initialize(
                    to: Entry(
                        field: field, nameHead: UInt64(littleEndian: head), nameLength: bytes.count, name: UnsafeRawPointer(name.utf8Start),
                        isOneof: message == .anyValue))
            }
            (messages + message.rawValue).initialize(to: UnsafeBufferPointer(start: entries, count: names.count))
        }
    }

    private static func sameName(_ one: StaticString, _ other: StaticString) -> Bool {
        WireBytes(start: one.utf8Start, count: one.utf8CodeUnitCount).matches(other)
    }

    @inline(__always)
    func entries(of message: WireMessage) -> Entries {
        Entries(entries: messages[message.rawValue])
    }

    struct Entries {
        fileprivate let entries: UnsafeBufferPointer<Entry>

        @inline(__always)
        func entry(at index: Int) -> UnsafePointer<Entry> { entries.baseAddress.unsafelyUnwrapped + index }

        /// Index of the field named `key`, or nil for an unknown one. Tried first at `expected`: clients write fields in order.
        /// `key` is in simdjson's string buffer, where eight bytes can be read from any string's start.
        @inline(__always)
        func index(of key: WireBytes, expected: Int) -> Int? {
            guard let start = key.baseAddress else { return nil }
            let unused = UInt64(max(8 &- key.count, 0)) &* 8
            let head = UInt64(littleEndian: start.loadUnaligned(as: UInt64.self)) & (unused == 64 ? 0 : .max >> unused)
            if expected < entries.count, matches(expected, head, key.count, start) { return expected }
            for index in 0..<entries.count where matches(index, head, key.count, start) { return index }
            return nil
        }

        @inline(__always)
        private func matches(_ index: Int, _ head: UInt64, _ length: Int, _ key: UnsafeRawPointer) -> Bool {
            let entry = entry(at: index)
            guard entry.pointee.nameHead == head, entry.pointee.nameLength == length else { return false }
            return length <= 8 || memcmp(entry.pointee.name + 8, key + 8, length &- 8) == 0
        }
    }
}
