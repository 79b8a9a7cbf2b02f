/// Spans as OTLP/JSON: one `ExportTraceServiceRequest` per document, on one line. What `JSONTranscoder` makes of the text is
/// the spans that went in (unknown fields, which views do not show, and bytes that are no UTF-8 aside).
///
/// ```
/// var writer = OTLPJSONWriter()
/// for span in spans { writer.add(span, to: &output) }
/// writer.finish(&output)
/// ```
/// Consecutive spans of one scope or resource share its entry. A value left out is the default; 64-bit integers are strings.
public struct OTLPJSONWriter {
    /// Of the span written last.
    private var resource: UnsafePointer<ResourceRecord>?
    private var scope: UnsafePointer<ScopeRecord>?

    public init() {}

    /// Appends `span`. Until `finish`, the batches of all spans must be held: entries are told apart by their addresses.
    ///
    /// - Parameter traceState: instead of the span's own.
    public mutating func add(_ span: SpanView, traceState: WireBytes? = nil, to output: inout OutputBuffer) {
        if scope == span.scopeRecord {
            output.append(",")
        } else {
            if resource == span.scopeRecord.pointee.resource {
                output.append("]},")
            } else {
                output.append(resource == nil ? #"{"resourceSpans":["# : "]}]},")
                Self.open(span.resource, to: &output)
            }
            Self.open(span.scope, to: &output)
        }
        scope = span.scopeRecord
        resource = span.scopeRecord.pointee.resource
        Self.append(span, traceState ?? span.traceState, to: &output)
    }

    /// Ends the document; the writer can be used for another one.
    public mutating func finish(_ output: inout OutputBuffer) {
        output.append(resource == nil ? #"{"resourceSpans":[]}"# : "]}]}]}")
        self = OTLPJSONWriter()
    }

    private static func open(_ resource: ResourceView, to output: inout OutputBuffer) {
        var object = JSONObject(&output)
        object.open("resource", &output)
        do {
            var object = JSONObject(&output)
            object.attributes(resource.attributes, &output)
            object.number("droppedAttributesCount", resource.droppedAttributesCount, &output)
            EntityRefs.append(resource.encoded, to: &object, &output)
            object.close(&output)
        }
        object.text("schemaUrl", resource.schemaURL, &output)
        object.open("scopeSpans", &output)
        output.append("[")
    }

    private static func open(_ scope: ScopeView, to output: inout OutputBuffer) {
        var object = JSONObject(&output)
        object.open("scope", &output)
        do {
            var object = JSONObject(&output)
            object.text("name", scope.name, &output)
            object.text("version", scope.version, &output)
            object.attributes(scope.attributes, &output)
            object.number("droppedAttributesCount", scope.droppedAttributesCount, &output)
            object.close(&output)
        }
        object.text("schemaUrl", scope.schemaURL, &output)
        object.open("spans", &output)
        output.append("[")
    }

    private static func append(_ span: SpanView, _ traceState: WireBytes, to output: inout OutputBuffer) {
        var object = JSONObject(&output)
        object.id("traceId", span.traceID, &output)
        object.id("spanId", span.spanID, &output)
        object.text("traceState", traceState, &output)
        if let parent = span.parentSpanID { object.id("parentSpanId", parent, &output) }
        object.number("flags", span.flags, &output)
        object.text("name", span.name, &output)
        object.enumeration("kind", span.kind, &output)
        object.time("startTimeUnixNano", span.startTimeUnixNano, &output)
        object.time("endTimeUnixNano", span.endTimeUnixNano, &output)
        object.attributes(span.attributes, &output)
        object.number("droppedAttributesCount", span.droppedAttributesCount, &output)
        object.list("events", count: span.eventCount, &output) { append(span.event(at: $0), to: &$1) }
        object.number("droppedEventsCount", span.droppedEventsCount, &output)
        object.list("links", count: span.linkCount, &output) { append(span.link(at: $0), to: &$1) }
        object.number("droppedLinksCount", span.droppedLinksCount, &output)
        let status = span.status
        if status.code != 0 || status.message.count > 0 {
            object.open("status", &output)
            var object = JSONObject(&output)
            object.text("message", status.message, &output)
            object.enumeration("code", status.code, &output)
            object.close(&output)
        }
        object.close(&output)
    }

    private static func append(_ event: EventView, to output: inout OutputBuffer) {
        var object = JSONObject(&output)
        object.time("timeUnixNano", event.timeUnixNano, &output)
        object.text("name", event.name, &output)
        object.attributes(event.attributes, &output)
        object.number("droppedAttributesCount", event.droppedAttributesCount, &output)
        object.close(&output)
    }

    private static func append(_ link: LinkView, to output: inout OutputBuffer) {
        var object = JSONObject(&output)
        object.id("traceId", link.traceID, &output)
        object.id("spanId", link.spanID, &output)
        object.text("traceState", link.traceState, &output)
        object.attributes(link.attributes, &output)
        object.number("droppedAttributesCount", link.droppedAttributesCount, &output)
        object.number("flags", link.flags, &output)
        object.close(&output)
    }
}
