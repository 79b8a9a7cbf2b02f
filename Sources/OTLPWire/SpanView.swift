import COTLP

/// One span of a decoded request: pointers into the arena that its `TraceBatch` owns, valid as long as that batch is held.
public struct SpanView: BitwiseCopyable {
    let message: UnsafePointer<Otlp__Span>
    let scopeRecord: UnsafePointer<ScopeRecord>

    public var traceID: TraceID { TraceID(WireBytes(message.pointee.trace_id)) ?? TraceID(high: 0, low: 0) }
    public var spanID: SpanID { SpanID(WireBytes(message.pointee.span_id)) ?? SpanID(word: 0) }
    /// Nil for a root; an id of another length than 8 bytes counts as none.
    public var parentSpanID: SpanID? { SpanID(WireBytes(message.pointee.parent_span_id)) }
    public var traceState: WireBytes { WireBytes(message.pointee.trace_state) }
    public var name: WireBytes { WireBytes(message.pointee.name) }
    /// `SpanKind` as sent; values outside 0...5 are possible.
    public var kind: Int32 { message.pointee.kind }
    public var startTimeUnixNano: UInt64 { message.pointee.start_time_unix_nano }
    public var endTimeUnixNano: UInt64 { message.pointee.end_time_unix_nano }
    public var flags: UInt32 { message.pointee.flags }
    public var droppedAttributesCount: UInt32 { message.pointee.dropped_attributes_count }
    public var droppedEventsCount: UInt32 { message.pointee.dropped_events_count }
    public var droppedLinksCount: UInt32 { message.pointee.dropped_links_count }

    public var attributeCount: Int { message.pointee.n_attributes }
    public var attributes: AttributesView { AttributesView(slices: message.pointee.attributes, count: message.pointee.n_attributes) }
    public var eventCount: Int { message.pointee.n_events }
    public var linkCount: Int { message.pointee.n_links }
    public var status: StatusView { StatusView(WireBytes(message.pointee.status)) }

    public var scope: ScopeView { ScopeView(record: scopeRecord) }
    public var resource: ResourceView { ResourceView(record: scopeRecord.pointee.resource) }

    public func event(at index: Int) -> EventView {
        precondition(index < message.pointee.n_events)
        return EventView(WireBytes(message.pointee.events[index]))
    }

    public func link(at index: Int) -> LinkView {
        precondition(index < message.pointee.n_links)
        return LinkView(WireBytes(message.pointee.links[index]))
    }
}

/// One scope's spans within one resource.
struct ScopeRecord {
    let message: UnsafePointer<Otlp__ScopeSpans>
    let resource: UnsafePointer<ResourceRecord>
}

struct ResourceRecord {
    let message: UnsafePointer<Otlp__ResourceSpans>
}

public struct ResourceView {
    let record: UnsafePointer<ResourceRecord>

    /// Equal for two spans of one request exactly when they share the resource.
    public var identity: UnsafeRawPointer { UnsafeRawPointer(record) }
    /// The encoded `Resource` message.
    public var encoded: WireBytes { WireBytes(record.pointee.message.pointee.resource) }
    public var attributes: AttributesView { AttributesView(message: encoded, field: OTLPField.Resource.attributes) }
    public var schemaURL: WireBytes { WireBytes(record.pointee.message.pointee.schema_url) }
}

public struct ScopeView {
    /// Equal for two spans of one request exactly when they share the scope.
    public let identity: UnsafeRawPointer
    /// The encoded `InstrumentationScope` message.
    public let encoded: WireBytes
    public let schemaURL: WireBytes
    public private(set) var name = WireBytes(start: nil, count: 0)
    public private(set) var version = WireBytes(start: nil, count: 0)

    public var attributes: AttributesView { AttributesView(message: encoded, field: OTLPField.Scope.attributes) }

    init(record: UnsafePointer<ScopeRecord>) {
        identity = UnsafeRawPointer(record)
        encoded = WireBytes(record.pointee.message.pointee.scope)
        schemaURL = WireBytes(record.pointee.message.pointee.schema_url)
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            if field.number == OTLPField.Scope.name { name = field.bytes }
            if field.number == OTLPField.Scope.version { version = field.bytes }
        }
    }
}

public struct StatusView {
    /// 0 unset, 1 ok, 2 error; other values are possible.
    public private(set) var code: Int32 = 0
    public private(set) var message = WireBytes(start: nil, count: 0)

    init(_ encoded: WireBytes) {
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            if field.number == OTLPField.Status.code { code = Int32(truncatingIfNeeded: field.scalar) }
            if field.number == OTLPField.Status.message { message = field.bytes }
        }
    }
}

public struct EventView {
    private let encoded: WireBytes
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
