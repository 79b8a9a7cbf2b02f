import OTLPWire

/// What a condition is evaluated on: a span, or one of its events.
struct OTTLSubject {
    let span: SpanView
    /// Nil outside `spanevent` conditions.
    let event: EventView?
    let eventIndex: Int
}

/// A place in a span, its event, scope or resource that a condition reads.
struct OTTLPath: Equatable, Sendable {
    enum Field: Equatable, Sendable {
        case attributes(Carrier)
        case name, kind, kindText, statusCode, statusMessage
        case traceID, traceIDText, spanID, spanIDText, parentSpanID, parentSpanIDText, traceState
        /// Unix nanoseconds, also for `start_time` and `end_time`: their difference compares with `Duration("1s")`.
        case startTime, endTime
        case flags, droppedAttributesCount, droppedEventsCount, droppedLinksCount
        /// Lists that can be counted.
        case events, links
        case resourceSchemaURL, resourceDroppedAttributesCount
        case scopeName, scopeVersion, scopeSchemaURL, scopeDroppedAttributesCount
        case eventName, eventTime, eventIndex, eventDroppedAttributesCount
    }

    enum Carrier: Equatable, Sendable { case span, event, scope, resource }

    enum Key: Equatable, Sendable {
        case name([UInt8])
        case index(Int)
    }

    let field: Field
    /// Of attributes: the key, then keys and indexes into nested values. Of the trace state: a member's key.
    let keys: [Key]

    // MARK: Names

    private static let spanFields: [String: Field] = [
        "attributes": .attributes(.span), "name": .name, "kind": .kind, "kind.string": .kindText, "status.code": .statusCode,
        "status.message": .statusMessage, "trace_id": .traceID, "trace_id.string": .traceIDText, "span_id": .spanID,
        "span_id.string": .spanIDText, "parent_span_id": .parentSpanID, "parent_span_id.string": .parentSpanIDText,
        "trace_state": .traceState, "start_time": .startTime, "start_time_unix_nano": .startTime, "end_time": .endTime,
        "end_time_unix_nano": .endTime, "flags": .flags, "dropped_attributes_count": .droppedAttributesCount,
        "dropped_events_count": .droppedEventsCount, "dropped_links_count": .droppedLinksCount, "events": .events, "links": .links,
    ]
    private static let eventFields: [String: Field] = [
        "attributes": .attributes(.event), "name": .eventName, "time": .eventTime, "time_unix_nano": .eventTime,
        "event_index": .eventIndex, "dropped_attributes_count": .eventDroppedAttributesCount,
    ]
    private static let scopeFields: [String: Field] = [
        "name": .scopeName, "version": .scopeVersion, "attributes": .attributes(.scope), "schema_url": .scopeSchemaURL,
        "dropped_attributes_count": .scopeDroppedAttributesCount,
    ]
    private static let resourceFields: [String: Field] = [
        "attributes": .attributes(.resource), "schema_url": .resourceSchemaURL,
        "dropped_attributes_count": .resourceDroppedAttributesCount,
    ]

    private static func fields(of context: OTTLContext) -> [String: Field] {
        switch context {
        case .resource: resourceFields
        case .scope: scopeFields
        case .span: spanFields
        case .spanEvent: eventFields
        }
    }

    private static let prefixes: [(text: String, owner: OTTLContext)] =
        OTTLContext.allCases.map { ("\($0.rawValue).", $0) } + [("instrumentation_scope.", .scope)]

    /// The field that a path names, without the keys in brackets; nil when there is none.
    ///
    /// - Parameter context: what further out can be read as well, with its name in front; what is further in cannot.
    static func field(_ path: String, in context: OTTLContext, takesBareNames: Bool) -> Field? {
        for prefix in prefixes where path.hasPrefix(prefix.text) {
            return prefix.owner <= context ? fields(of: prefix.owner)[String(path.dropFirst(prefix.text.count))] : nil
        }
        return takesBareNames ? fields(of: context)[path] : nil
    }

    /// For suggestions.
    static func names(in context: OTTLContext, takesBareNames: Bool) -> [String] {
        let qualified = prefixes.filter { $0.owner <= context }.flatMap { prefix in
            fields(of: prefix.owner).keys.map { prefix.text + $0 }
        }
        return ((takesBareNames ? Array(fields(of: context).keys) : []) + qualified).sorted()
    }

    var takesKeys: Bool {
        switch field {
        case .attributes, .traceState: true
        default: false
        }
    }

    // MARK: Reading

    func read(_ subject: OTTLSubject) -> OTTLValue {
        let span = subject.span
        switch field {
        case .attributes(let carrier): return attribute(subject, carrier)
        case .name: return .string(span.name)
        case .kind: return .int(Int64(span.kind))
        case .kindText: return .madeString(Array(Self.kindNames[span.kind, default: ""].utf8))
        case .statusCode: return .int(Int64(span.status.code))
        case .statusMessage: return .string(span.status.message)
        case .traceID: return .madeBytes(Self.bytes(span.traceID))
        case .traceIDText: return .madeString(Self.hex(Self.bytes(span.traceID)))
        case .spanID: return .madeBytes(Self.bytes(span.spanID))
        case .spanIDText: return .madeString(Self.hex(Self.bytes(span.spanID)))
        case .parentSpanID: return .madeBytes(span.parentSpanID.map(Self.bytes) ?? [UInt8](repeating: 0, count: 8))
        case .parentSpanIDText: return .madeString(span.parentSpanID.map { Self.hex(Self.bytes($0)) } ?? [])
        case .traceState: return traceState(span.traceState)
        case .startTime: return .int(Int64(clamping: span.startTimeUnixNano))
        case .endTime: return .int(Int64(clamping: span.endTimeUnixNano))
        case .flags: return .int(Int64(span.flags))
        case .droppedAttributesCount: return .int(Int64(span.droppedAttributesCount))
        case .droppedEventsCount: return .int(Int64(span.droppedEventsCount))
        case .droppedLinksCount: return .int(Int64(span.droppedLinksCount))
        case .scopeName: return .string(span.scope.name)
        case .scopeVersion: return .string(span.scope.version)
        case .scopeSchemaURL: return .string(span.scope.schemaURL)
        case .scopeDroppedAttributesCount: return .int(Int64(span.scope.droppedAttributesCount))
        case .resourceSchemaURL: return .string(span.resource.schemaURL)
        case .resourceDroppedAttributesCount: return .int(Int64(span.resource.droppedAttributesCount))
        case .events: return .items(span.eventCount)
        case .links: return .items(span.linkCount)
        case .eventName: return subject.event.map { .string($0.name) } ?? .none
        case .eventTime: return subject.event.map { .int(Int64(clamping: $0.timeUnixNano)) } ?? .none
        case .eventIndex: return .int(Int64(subject.eventIndex))
        case .eventDroppedAttributesCount: return subject.event.map { .int(Int64($0.droppedAttributesCount)) } ?? .none
        }
    }

    private func attribute(_ subject: OTTLSubject, _ carrier: Carrier) -> OTTLValue {
        let attributes: AttributesView
        switch carrier {
        case .span: attributes = subject.span.attributes
        case .scope: attributes = subject.span.scope.attributes
        case .resource: attributes = subject.span.resource.attributes
        case .event:
            guard let event = subject.event else { return .none }
            attributes = event.attributes
        }
        var value = OTTLValue.map(attributes)
        for key in keys { value = Self.member(key, of: value) }
        return value
    }

    private static func member(_ key: Key, of value: OTTLValue) -> OTTLValue {
        switch (key, value) {
        case (.name(let name), .map(let map)):
            return name.withUnsafeBytes { name in
                for entry in map where entry.key.elementsEqual(name) { return OTTLValue(entry.value) }
                return .none
            }
        case (.index(let index), .array(let array)):
            for (position, element) in array.enumerated() where position == index { return OTTLValue(element) }
            return .none
        default: return .none
        }
    }

    private func traceState(_ text: WireBytes) -> OTTLValue {
        guard case .name(let wanted)? = keys.first else { return .string(text) }
        for member in text.split(separator: UInt8(ascii: ",")) {
            let trimmed = member.drop { $0 == UInt8(ascii: " ") }
            guard let equals = trimmed.firstIndex(of: UInt8(ascii: "=")), trimmed[..<equals].elementsEqual(wanted) else { continue }
            return .string(WireBytes(rebasing: trimmed[(equals + 1)...]))
        }
        return .none
    }

    private static let kindNames: [Int32: String] = [
        0: "Unspecified", 1: "Internal", 2: "Server", 3: "Client", 4: "Producer", 5: "Consumer",
    ]

    private static func bytes(_ id: TraceID) -> [UInt8] { bigEndian(id.high) + bigEndian(id.low) }
    private static func bytes(_ id: SpanID) -> [UInt8] { bigEndian(id.word) }
    private static func bigEndian(_ word: UInt64) -> [UInt8] { withUnsafeBytes(of: word.bigEndian) { Array($0) } }

    private static func hex(_ bytes: [UInt8]) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }
}
