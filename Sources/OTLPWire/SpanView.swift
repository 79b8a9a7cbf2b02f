/// One span of a decoded request: a pointer into the arena that its `TraceBatch` owns, valid as long as that batch is held.
public struct SpanView: BitwiseCopyable {
    let record: UnsafePointer<SpanRecord>
    var scopeRecord: UnsafePointer<ScopeRecord> { record.pointee.scope }

    public var traceID: TraceID { record.pointee.traceID }
    public var spanID: SpanID { record.pointee.spanID }
    /// Nil for a root; an id of another length than 8 bytes counts as none.
    public var parentSpanID: SpanID? { record.pointee.parentSpanID.word == 0 ? nil : record.pointee.parentSpanID }
    public var traceState: WireBytes { record.pointee.traceState }
    public var name: WireBytes { record.pointee.name }
    /// `SpanKind` as sent; values outside 0...5 are possible.
    public var kind: Int32 { record.pointee.kind }
    public var startTimeUnixNano: UInt64 { record.pointee.startTimeUnixNano }
    public var endTimeUnixNano: UInt64 { record.pointee.endTimeUnixNano }
    public var flags: UInt32 { record.pointee.flags }
    public var droppedAttributesCount: UInt32 { record.pointee.droppedAttributesCount }
    public var droppedEventsCount: UInt32 { record.pointee.droppedEventsCount }
    public var droppedLinksCount: UInt32 { record.pointee.droppedLinksCount }
    /// Bytes of the `Span` message as it came.
    public var encodedByteCount: Int { Int(record.pointee.encodedBytes) }

    public var attributeCount: Int { Int(record.pointee.attributeCount) }
    public var attributes: AttributesView { AttributesView(message: record.pointee.attributes, field: OTLPField.Span.attributes) }
    /// The attributes as fields of an encoded `Span`, tags included: to be written out unread.
    public var encodedAttributes: WireBytes { record.pointee.attributes }
    public var eventCount: Int { Int(record.pointee.eventCount) }
    public var linkCount: Int { Int(record.pointee.linkCount) }
    public var status: StatusView { StatusView(record.pointee.status) }

    public var scope: ScopeView { ScopeView(record: scopeRecord) }
    public var resource: ResourceView { ResourceView(record: scopeRecord.pointee.resource) }

    public func event(at index: Int) -> EventView { EventView(record.pointee.event(at: index)) }

    public func link(at index: Int) -> LinkView { LinkView(record.pointee.link(at: index)) }
}

/// One scope's spans within one resource.
struct ScopeRecord: BitwiseCopyable {
    var scope: WireBytes
    let schemaURL: WireBytes
    var resource: UnsafePointer<ResourceRecord>
}

struct ResourceRecord: BitwiseCopyable {
    var resource: WireBytes
    let schemaURL: WireBytes
}

public struct ResourceView {
    let record: UnsafePointer<ResourceRecord>

    /// Equal for two spans of one request exactly when they share the resource.
    public var identity: UnsafeRawPointer { UnsafeRawPointer(record) }
    /// The encoded `Resource` message.
    public var encoded: WireBytes { record.pointee.resource }
    public var attributes: AttributesView { AttributesView(message: encoded, field: OTLPField.Resource.attributes) }
    public var schemaURL: WireBytes { record.pointee.schemaURL }
    public var droppedAttributesCount: UInt32 {
        var count: UInt32 = 0
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            if field.number == OTLPField.Resource.droppedAttributesCount { count = UInt32(truncatingIfNeeded: field.scalar) }
        }
        return count
    }
}

public struct ScopeView {
    /// Equal for two spans of one request exactly when they share the scope.
    public let identity: UnsafeRawPointer
    /// The encoded `InstrumentationScope` message.
    public let encoded: WireBytes
    public let schemaURL: WireBytes
    public private(set) var name = WireBytes(start: nil, count: 0)
    public private(set) var version = WireBytes(start: nil, count: 0)
    public private(set) var droppedAttributesCount: UInt32 = 0

    public var attributes: AttributesView { AttributesView(message: encoded, field: OTLPField.Scope.attributes) }

    init(record: UnsafePointer<ScopeRecord>) {
        identity = UnsafeRawPointer(record)
        encoded = record.pointee.scope
        schemaURL = record.pointee.schemaURL
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            if field.number == OTLPField.Scope.name { name = field.bytes }
            if field.number == OTLPField.Scope.version { version = field.bytes }
            if field.number == OTLPField.Scope.droppedAttributesCount { droppedAttributesCount = UInt32(truncatingIfNeeded: field.scalar) }
        }
    }
}

public struct StatusView {
    /// The encoded `Status` message.
    public let encoded: WireBytes
    /// 0 unset, 1 ok, 2 error; other values are possible.
    public private(set) var code: Int32 = 0
    public private(set) var message = WireBytes(start: nil, count: 0)

    init(_ encoded: WireBytes) {
        self.encoded = encoded
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            if field.number == OTLPField.Status.code { code = Int32(truncatingIfNeeded: field.scalar) }
            if field.number == OTLPField.Status.message { message = field.bytes }
        }
    }
}

public struct EventView {
    /// The encoded `Event` message.
    public let encoded: WireBytes
    public private(set) var timeUnixNano: UInt64 = 0
    public private(set) var name = WireBytes(start: nil, count: 0)
    public private(set) var droppedAttributesCount: UInt32 = 0

    public var attributes: AttributesView { AttributesView(message: encoded, field: OTLPField.Event.attributes) }

    init(_ encoded: WireBytes) {
        self.encoded = encoded
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            switch field.number {
            case OTLPField.Event.timeUnixNano: timeUnixNano = field.scalar
            case OTLPField.Event.name: name = field.bytes
            case OTLPField.Event.droppedAttributesCount: droppedAttributesCount = UInt32(truncatingIfNeeded: field.scalar)
            default: break
            }
        }
    }
}

public struct LinkView {
    private let encoded: WireBytes
    /// As sent, of any length: a link's ids are kept even when they are invalid.
    public private(set) var traceID = WireBytes(start: nil, count: 0)
    public private(set) var spanID = WireBytes(start: nil, count: 0)
    public private(set) var traceState = WireBytes(start: nil, count: 0)
    public private(set) var droppedAttributesCount: UInt32 = 0
    public private(set) var flags: UInt32 = 0

    public var attributes: AttributesView { AttributesView(message: encoded, field: OTLPField.Link.attributes) }

    init(_ encoded: WireBytes) {
        self.encoded = encoded
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            switch field.number {
            case OTLPField.Link.traceID: traceID = field.bytes
            case OTLPField.Link.spanID: spanID = field.bytes
            case OTLPField.Link.traceState: traceState = field.bytes
            case OTLPField.Link.droppedAttributesCount: droppedAttributesCount = UInt32(truncatingIfNeeded: field.scalar)
            case OTLPField.Link.flags: flags = UInt32(truncatingIfNeeded: field.scalar)
            default: break
            }
        }
    }
}
