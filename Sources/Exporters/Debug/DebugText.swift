import OTLPWire
import Pipeline

/// Writes spans for people, in the layout of the Go collector's debug exporter.
///
/// Span data is anybody's text and this goes to a terminal, so control characters (also the 8-bit ones) come out escaped: no
/// name can move the cursor or pretend to be a line of its own.
struct DebugText: ~Copyable {
    private(set) var output = OutputBuffer()
    private var scratch = OutputBuffer()
    private var json = AttributeJSON()
    private var resource: UnsafeRawPointer?
    private var scope: UnsafeRawPointer?
    private var document = OTLPJSONWriter()
    private var counts = (resources: 0, scopes: 0, spans: 0)

    private static let kinds: [StaticString] = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"]
    private static let statuses: [StaticString] = ["Unset", "Ok", "Error"]

    /// Resources and spans of a batch, counted as they follow each other.
    static func counts(_ batch: SpanBatch) -> (resourceSpans: Int, spans: Int) {
        var resources = 0
        var last: UnsafeRawPointer?
        batch.forEach { reference in
            let identity = reference.span.resource.identity
            if identity != last { resources += 1 }
            last = identity
        }
        return (resources, batch.itemCount)
    }

    mutating func startBatch() {
        counts = (0, 0, 0)
        resource = nil
        scope = nil
    }

    /// Forgets the text, which was written out.
    mutating func clear(keepingCapacity bytes: Int) {
        output.removeAll(keepingCapacity: bytes)
        scratch.removeAll(keepingCapacity: bytes)
    }

    mutating func appendCounts(resourceSpans: Int, spans: Int) {
        output.append("Traces\tresource spans=")
        output.appendDecimal(Int64(resourceSpans))
        output.append("\tspans=")
        output.appendDecimal(Int64(spans))
        output.append("\n")
    }

    /// Adds to the batch's line of OTLP/JSON, which `endDocument` ends.
    mutating func appendJSON(_ reference: SpanReference) {
        reference.withTraceState { document.add(reference.span, traceState: $0, to: &output) }
    }

    mutating func endDocument() {
        document.finish(&output)
        output.append("\n")
    }

    /// One line: name, ids, attributes.
    mutating func appendLine(_ span: SpanView) {
        text(span.name)
        output.append(" ")
        hex(span.traceID)
        output.append(" ")
        hex(span.spanID)
        for attribute in span.attributes {
            output.append(" ")
            text(attribute.key)
            output.append("=")
            value(attribute.value)
        }
        output.append("\n")
    }

    /// Every field, under headings for its resource and scope when they are not those of the span before.
    mutating func appendDetails(_ reference: SpanReference) {
        let span = reference.span
        if span.resource.identity != resource { startResource(span.resource) }
        if span.scopeIdentity != scope { startScope(span.scope) }
        output.append("Span #")
        output.appendDecimal(Int64(counts.spans))
        counts.spans += 1
        output.append("\n    Trace ID       : ")
        hex(span.traceID)
        output.append("\n    Parent ID      : ")
        if let parent = span.parentSpanID { hex(parent) }
        output.append("\n    ID             : ")
        hex(span.spanID)
        output.append("\n    Name           : ")
        text(span.name)
        output.append("\n    Kind           : ")
        named(span.kind, Self.kinds)
        reference.withTraceState { state in
            guard !state.isEmpty else { return }
            output.append("\n    TraceState     : ")
            text(state)
        }
        output.append("\n    Start time     : ")
        time(span.startTimeUnixNano)
        output.append("\n    End time       : ")
        time(span.endTimeUnixNano)
        let status = span.status
        output.append("\n    Status code    : ")
        named(status.code, Self.statuses)
        output.append("\n    Status message : ")
        text(status.message)
        output.append("\n    Flags          : ")
        output.appendDecimal(UInt64(span.flags))
        output.append("\n")
        if let decision = reference.decision { sampling(decision) }
        dropped("    DroppedAttributesCount: ", span.droppedAttributesCount)
        if span.attributeCount > 0 { output.append("Attributes:\n") }
        attributes(span.attributes, indent: "     -> ")
        events(span)
        links(span)
    }

    private mutating func startResource(_ view: ResourceView) {
        output.append("ResourceSpans #")
        output.appendDecimal(Int64(counts.resources))
        output.append("\nResource SchemaURL: ")
        text(view.schemaURL)
        output.append("\nResource attributes:\n")
        attributes(view.attributes, indent: "     -> ")
        resource = view.identity
        scope = nil
        counts = (counts.resources + 1, 0, 0)
    }

    private mutating func startScope(_ view: ScopeView) {
        output.append("ScopeSpans #")
        output.appendDecimal(Int64(counts.scopes))
        output.append("\nScopeSpans SchemaURL: ")
        text(view.schemaURL)
        output.append("\nInstrumentationScope ")
        text(view.name)
        output.append(" ")
        text(view.version)
        output.append("\n")
        attributes(view.attributes, indent: "     -> ")
        scope = view.identity
        counts = (counts.resources, counts.scopes + 1, 0)
    }

    private mutating func events(_ span: SpanView) {
        if span.eventCount > 0 { output.append("Events:\n") }
        for index in 0..<span.eventCount {
            let event = span.event(at: index)
            output.append("SpanEvent #")
            output.appendDecimal(Int64(index))
            output.append("\n     -> Name: ")
            text(event.name)
            output.append("\n     -> Timestamp: ")
            time(event.timeUnixNano)
            output.append("\n")
            dropped("     -> DroppedAttributesCount: ", event.droppedAttributesCount)
            attributes(event.attributes, indent: "          -> ")
        }
        dropped("    DroppedEventsCount: ", span.droppedEventsCount)
    }

    private mutating func links(_ span: SpanView) {
        if span.linkCount > 0 { output.append("Links:\n") }
        for index in 0..<span.linkCount {
            let link = span.link(at: index)
            output.append("SpanLink #")
            output.appendDecimal(Int64(index))
            output.append("\n     -> Trace ID: ")
            output.appendHex(link.traceID)
            output.append("\n     -> ID: ")
            output.appendHex(link.spanID)
            output.append("\n     -> TraceState: ")
            text(link.traceState)
            output.append("\n     -> Flags: ")
            output.appendDecimal(UInt64(link.flags))
            output.append("\n")
            dropped("     -> DroppedAttributesCount: ", link.droppedAttributesCount)
            attributes(link.attributes, indent: "          -> ")
        }
        dropped("    DroppedLinksCount: ", span.droppedLinksCount)
    }

    // MARK: Values

    private mutating func attributes(_ attributes: AttributesView, indent: StaticString) {
        for attribute in attributes {
            output.append(indent)
            text(attribute.key)
            output.append(": ")
            output.append(Self.type(attribute.value))
            output.append("(")
            value(attribute.value)
            output.append(")\n")
        }
    }

    private static func type(_ value: AnyValueView) -> StaticString {
        switch value {
        case .absent: "Empty"
        case .string: "Str"
        case .bool: "Bool"
        case .int: "Int"
        case .double: "Double"
        case .array: "Slice"
        case .keyValueList: "Map"
        case .bytes: "Bytes"
        }
    }

    /// Texts as they are, nested values as JSON.
    private mutating func value(_ value: AnyValueView) {
        switch value {
        case .absent: break
        case .string(let bytes): text(bytes)
        case .bool(let flag): output.append(flag ? "true" : "false")
        case .int(let number): output.appendDecimal(number)
        case .double(let number): output.append("\(number)")
        case .bytes(let bytes): output.appendBase64(bytes)
        case .array, .keyValueList:
            scratch.removeAll()
            if json.appendValue(value, to: &scratch) { appendScratch() } else { output.append("…") }
        }
    }

    private mutating func text(_ bytes: WireBytes) {
        scratch.removeAll()
        scratch.appendSanitised(bytes)
        appendScratch()
    }

    private mutating func appendScratch() {
        scratch.withBytes { output.appendVisible($0) }
    }

    private mutating func hex(_ id: TraceID) {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { output.appendHex($0) }
    }

    private mutating func hex(_ id: SpanID) {
        withUnsafeBytes(of: id.word.bigEndian) { output.appendHex($0) }
    }

    private mutating func named(_ number: Int32, _ names: [StaticString]) {
        if names.indices.contains(Int(number)) { output.append(names[Int(number)]) } else { output.appendDecimal(Int64(number)) }
    }

    /// `2026-01-31 23:59:59.123456789 +0000 UTC`
    private mutating func time(_ unixNano: UInt64) {
        TimestampText.append(microseconds: Int64(unixNano / 1_000), to: &output)
        let nanoseconds = UInt8(unixNano % 1_000 / 100)
        output.append(48 + nanoseconds)
        output.append(48 + UInt8(unixNano % 100 / 10))
        output.append(48 + UInt8(unixNano % 10))
        output.append(" +0000 UTC")
    }

    private mutating func sampling(_ decision: SamplingDecision) {
        output.append("    Adjusted count : ")
        output.appendPlainDouble(decision.adjustedCount)
        output.append("\n    Kept by        : ")
        var reason = decision.reason
        reason.withUTF8 { text(WireBytes($0)) }
        output.append("\n")
    }

    private mutating func dropped(_ label: StaticString, _ count: UInt32) {
        guard count > 0 else { return }
        output.append(label)
        output.appendDecimal(UInt64(count))
        output.append("\n")
    }
}

extension OutputBuffer {
    /// Copies valid UTF-8 with control characters escaped: C0 and delete by their byte, C1 (U+0080 to U+009F) by their number.
    fileprivate mutating func appendVisible(_ text: WireBytes) {
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte < 0x20 || byte == 0x7F {
                append("\\x")
                withUnsafeBytes(of: byte) { appendHex($0) }
            } else if byte == 0xC2, index + 1 < text.count, text[index + 1] < 0xA0 {
                index += 1
                append("\\u00")
                withUnsafeBytes(of: text[index]) { appendHex($0) }
            } else {
                append(byte)
            }
            index += 1
        }
    }
}
