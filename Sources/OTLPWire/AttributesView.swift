import Glibc

/// Field numbers of a request and of the messages below it; from the span down they stay encoded until somebody asks.
/// Source: opentelemetry/proto/common/v1/common.proto, resource.proto and trace.proto of OTLP 1.11.
public enum OTLPField {
    public enum TracesRequest { public static let resourceSpans: UInt32 = 1 }
    public enum ResourceSpans { public static let resource: UInt32 = 1, scopeSpans: UInt32 = 2, schemaURL: UInt32 = 3 }
    public enum ScopeSpans { public static let scope: UInt32 = 1, spans: UInt32 = 2, schemaURL: UInt32 = 3 }
    public enum KeyValue { public static let key: UInt32 = 1, value: UInt32 = 2 }
    public enum AnyValue {
        public static let string: UInt32 = 1, bool: UInt32 = 2, int: UInt32 = 3, double: UInt32 = 4
        public static let array: UInt32 = 5, kvlist: UInt32 = 6, bytes: UInt32 = 7
    }
    public enum ArrayValue { public static let values: UInt32 = 1 }
    public enum KeyValueList { public static let values: UInt32 = 1 }
    public enum Resource { public static let attributes: UInt32 = 1, droppedAttributesCount: UInt32 = 2, entityRefs: UInt32 = 3 }
    public enum EntityRef { public static let schemaURL: UInt32 = 1, type: UInt32 = 2, idKeys: UInt32 = 3, descriptionKeys: UInt32 = 4 }
    public enum Scope {
        public static let name: UInt32 = 1, version: UInt32 = 2, attributes: UInt32 = 3, droppedAttributesCount: UInt32 = 4
    }
    public enum Event {
        public static let timeUnixNano: UInt32 = 1, name: UInt32 = 2, attributes: UInt32 = 3, droppedAttributesCount: UInt32 = 4
    }
    public enum Link {
        public static let traceID: UInt32 = 1, spanID: UInt32 = 2, traceState: UInt32 = 3, attributes: UInt32 = 4
        public static let droppedAttributesCount: UInt32 = 5, flags: UInt32 = 6
    }
    public enum Span {
        public static let traceID: UInt32 = 1, spanID: UInt32 = 2, traceState: UInt32 = 3, parentSpanID: UInt32 = 4, name: UInt32 = 5
        public static let kind: UInt32 = 6, startTimeUnixNano: UInt32 = 7, endTimeUnixNano: UInt32 = 8, attributes: UInt32 = 9
        public static let droppedAttributesCount: UInt32 = 10, events: UInt32 = 11, droppedEventsCount: UInt32 = 12
        public static let links: UInt32 = 13, droppedLinksCount: UInt32 = 14, status: UInt32 = 15, flags: UInt32 = 16
    }
    public enum Status { public static let message: UInt32 = 2, code: UInt32 = 3 }
}

/// One attribute: key and still encoded value.
public struct KeyValueView {
    /// UTF-8 by specification, not checked.
    public let key: WireBytes
    @usableFromInline let encodedValue: WireBytes

    /// Reads an encoded KeyValue; a repeated field counts with its last occurrence, as protobuf has it.
    @inlinable @inline(__always)
    init(_ bytes: WireBytes) {
        if let (key, value) = Self.usual(bytes) {
            self.init(key: key, encodedValue: value)
        } else {
            self.init(unusual: bytes)
        }
    }

    @inlinable @inline(__always)
    init(key: WireBytes, encodedValue: WireBytes) {
        self.key = key
        self.encodedValue = encodedValue
    }

    @usableFromInline @inline(never)
    init(unusual bytes: WireBytes) {
        var key = WireBytes(start: nil, count: 0)
        var value = WireBytes(start: nil, count: 0)
        var reader = WireReader(bytes)
        while let field = try? reader.next() {
            if field.number == OTLPField.KeyValue.key, field.type == .lengthDelimited { key = field.bytes }
            if field.number == OTLPField.KeyValue.value, field.type == .lengthDelimited { value = field.bytes }
        }
        self.key = key
        encodedValue = value
    }

    @inlinable
    public var value: AnyValueView { AnyValueView(encodedValue) }

    /// What encoders write: key, then value, nothing else; the key's length in one byte, the value's in one or two.
    @inlinable @inline(__always)
    static func usual(_ bytes: WireBytes) -> (key: WireBytes, value: WireBytes)? {
        let keyTag = UInt8(OTLPField.KeyValue.key) << 3 | WireReader.WireType.lengthDelimited.rawValue
        let valueTag = UInt8(OTLPField.KeyValue.value) << 3 | WireReader.WireType.lengthDelimited.rawValue
        guard bytes.count >= 4, let start = bytes.baseAddress, start.load(as: UInt8.self) == keyTag else { return nil }
        let keyCount = Int(start.load(fromByteOffset: 1, as: UInt8.self))
        guard keyCount < 0x80, keyCount + 4 <= bytes.count, start.load(fromByteOffset: 2 + keyCount, as: UInt8.self) == valueTag else {
            return nil
        }
        guard let value = WireReader.only(WireBytes(start: start + 2 + keyCount, count: bytes.count - 2 - keyCount)) else { return nil }
        return (WireBytes(start: start + 2, count: keyCount), value)
    }
}

/// A decoded `AnyValue`; nested values stay encoded.
public enum AnyValueView {
    /// The oneof is not set: an OTLP "empty value".
    case absent
    case string(WireBytes)
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case array(ArrayView)
    case keyValueList(AttributesView)
    case bytes(WireBytes)

    /// Reads an encoded AnyValue that `NestedValidator` accepted; anything it would refuse reads as `absent`.
    @inlinable @inline(__always)
    public init(_ encoded: WireBytes) {
        let stringTag = UInt8(OTLPField.AnyValue.string) << 3 | WireReader.WireType.lengthDelimited.rawValue
        if !encoded.isEmpty, encoded.load(as: UInt8.self) == stringTag, let text = WireReader.only(encoded) {
            self = .string(text)
        } else {
            self.init(unusual: encoded)
        }
    }

    @usableFromInline @inline(never)
    init(unusual encoded: WireBytes) {
        self = .absent
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            switch (field.number, field.type) {
            case (OTLPField.AnyValue.string, .lengthDelimited): self = .string(field.bytes)
            case (OTLPField.AnyValue.bool, .varint): self = .bool(field.scalar != 0)
            case (OTLPField.AnyValue.int, .varint): self = .int(Int64(bitPattern: field.scalar))
            case (OTLPField.AnyValue.double, .fixed64): self = .double(Double(bitPattern: field.scalar))
            case (OTLPField.AnyValue.array, .lengthDelimited): self = .array(ArrayView(message: field.bytes))
            case (OTLPField.AnyValue.kvlist, .lengthDelimited):
                self = .keyValueList(AttributesView(message: field.bytes, field: OTLPField.KeyValueList.values))
            case (OTLPField.AnyValue.bytes, .lengthDelimited): self = .bytes(field.bytes)
            default: break
            }
        }
    }
}

/// The elements of an `ArrayValue`.
public struct ArrayView: Sequence, IteratorProtocol {
    @usableFromInline var reader: WireReader

    @inlinable @inline(__always)
    init(message: WireBytes) {
        reader = WireReader(message)
    }

    @inlinable @inline(__always)
    public mutating func next() -> AnyValueView? {
        while let field = try? reader.next() {
            if field.number == OTLPField.ArrayValue.values, field.type == .lengthDelimited { return AnyValueView(field.bytes) }
        }
        return nil
    }
}

/// The attributes of a span, event, link, scope or resource, or the entries of a key-value list; read from the encoded bytes
/// in order, repeated keys included.
public struct AttributesView: Sequence, IteratorProtocol {
    @usableFromInline var reader: WireReader
    @usableFromInline let field: UInt32
    /// The field's tag; 0, which is none, when it takes more than a byte.
    @usableFromInline let tag: UInt8

    /// Attributes inside an encoded message, in its repeated field number `field`.
    @inlinable @inline(__always)
    public init(message: WireBytes, field: UInt32) {
        reader = WireReader(message)
        self.field = field
        tag = field < 16 ? UInt8(truncatingIfNeeded: field) << 3 | WireReader.WireType.lengthDelimited.rawValue : 0
    }

    @inlinable @inline(__always)
    public mutating func next() -> KeyValueView? {
        if let bytes = reader.usual(tag) { return KeyValueView(bytes) }
        return nextUnusual()
    }

    @usableFromInline @inline(never)
    mutating func nextUnusual() -> KeyValueView? {
        while let entry = try? reader.next() {
            if entry.number == field, entry.type == .lengthDelimited { return KeyValueView(entry.bytes) }
        }
        return nil
    }

    /// The value of the first attribute with this key.
    public func first(_ key: StaticString) -> AnyValueView? {
        for attribute in self where attribute.key.matches(key) { return attribute.value }
        return nil
    }

    /// The first attribute with this key when it is a string.
    public func firstString(_ key: StaticString) -> WireBytes? {
        if case .string(let bytes)? = first(key) { return bytes }
        return nil
    }
}

extension WireBytes {
    @inline(__always)
    public func matches(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && (count == 0 || memcmp(baseAddress!, text.utf8Start, count) == 0)
    }
}
