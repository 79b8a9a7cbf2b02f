/// A request's spans as an `ExportTraceServiceRequest` again, changes included: what decodes to the same batch.
///
/// Everything that views show is written; what they do not show is not: spans with invalid ids, attributes over the limit,
/// resources and scopes without spans, unknown fields of a span, and earlier occurrences of a repeated field. So of a request that a
/// stage has rewritten nothing is left that the stage has not seen. The same batch always gives the same bytes.
public struct OTLPProtobufWriter {
    private var resource: UnsafePointer<ResourceRecord>?
    private var scope: UnsafePointer<ScopeRecord>?
    private var openResource: OutputBuffer.OpenMessage?
    private var openScope: OutputBuffer.OpenMessage?

    private init() {}

    /// Appends all spans of the batch.
    public static func append(_ batch: TraceBatch, to output: inout OutputBuffer) {
        var writer = OTLPProtobufWriter()
        for index in 0..<batch.spanCount { writer.append(batch.spans[index], to: &output) }
        writer.close(&output)
    }

    /// Spans of one scope, and scopes of one resource, follow each other in a batch.
    private mutating func append(_ span: SpanRecord, to output: inout OutputBuffer) {
        if scope != span.scope {
            if resource == span.scope.pointee.resource { closeScope(&output) } else { close(&output) }
            if resource != span.scope.pointee.resource { open(span.scope.pointee.resource, &output) }
            open(span.scope, &output)
        }
        output.appendTag(OTLPField.ScopeSpans.spans, .lengthDelimited)
        let message = output.openMessage(expectedBytes: OutputBuffer.ordinarySpanBytes)
        Self.appendFields(of: span, to: &output)
        output.closeMessage(message)
    }

    private mutating func open(_ resource: UnsafePointer<ResourceRecord>, _ output: inout OutputBuffer) {
        self.resource = resource
        output.appendTag(OTLPField.TracesRequest.resourceSpans, .lengthDelimited)
        openResource = output.openLargeMessage()
        output.appendPresent(OTLPField.ResourceSpans.resource, resource.pointee.resource)
        output.appendPresent(OTLPField.ResourceSpans.schemaURL, resource.pointee.schemaURL)
    }

    private mutating func open(_ scope: UnsafePointer<ScopeRecord>, _ output: inout OutputBuffer) {
        self.scope = scope
        output.appendTag(OTLPField.ResourceSpans.scopeSpans, .lengthDelimited)
        openScope = output.openLargeMessage()
        output.appendPresent(OTLPField.ScopeSpans.scope, scope.pointee.scope)
        output.appendPresent(OTLPField.ScopeSpans.schemaURL, scope.pointee.schemaURL)
    }

    private mutating func closeScope(_ output: inout OutputBuffer) {
        if let openScope { output.closeMessage(openScope) }
        openScope = nil
        scope = nil
    }

    private mutating func close(_ output: inout OutputBuffer) {
        closeScope(&output)
        if let openResource { output.closeMessage(openResource) }
        openResource = nil
        resource = nil
    }

    private static func appendFields(of span: SpanRecord, to output: inout OutputBuffer) {
        typealias Field = OTLPField.Span
        withUnsafeBytes(of: (span.traceID.high.bigEndian, span.traceID.low.bigEndian)) {
            output.appendField(Field.traceID, bytes: $0)
        }
        withUnsafeBytes(of: span.spanID.word.bigEndian) { output.appendField(Field.spanID, bytes: $0) }
        output.appendPresent(Field.traceState, span.traceState)
        if span.parentSpanID.word != 0 {
            withUnsafeBytes(of: span.parentSpanID.word.bigEndian) { output.appendField(Field.parentSpanID, bytes: $0) }
        }
        output.appendPresent(Field.name, span.name)
        // An enum's negative number has ten bytes, as if it had 64 bits.
        output.appendPresent(Field.kind, UInt64(bitPattern: Int64(span.kind)))
        output.appendPresent(Field.startTimeUnixNano, fixed64: span.startTimeUnixNano)
        output.appendPresent(Field.endTimeUnixNano, fixed64: span.endTimeUnixNano)
        output.append(span.attributes)
        output.appendPresent(Field.droppedAttributesCount, UInt64(span.droppedAttributesCount))
        for index in 0..<Int(span.eventCount) { output.appendField(Field.events, bytes: span.event(at: index)) }
        output.appendPresent(Field.droppedEventsCount, UInt64(span.droppedEventsCount))
        for index in 0..<Int(span.linkCount) { output.appendField(Field.links, bytes: span.link(at: index)) }
        output.appendPresent(Field.droppedLinksCount, UInt64(span.droppedLinksCount))
        output.appendPresent(Field.status, span.status)
        if span.flags != 0 {
            output.appendTag(Field.flags, .fixed32)
            output.appendLittleEndian(span.flags)
        }
    }
}

extension OutputBuffer {
    /// Guess of a span's length: two bytes hold the lengths of up to 16 KiB.
    fileprivate static let ordinarySpanBytes = 1024

    fileprivate mutating func appendPresent(_ field: UInt32, _ bytes: WireBytes) {
        if !bytes.isEmpty { appendField(field, bytes: bytes) }
    }

    fileprivate mutating func appendPresent(_ field: UInt32, _ number: UInt64) {
        if number != 0 { appendField(field, varint: number) }
    }

    fileprivate mutating func appendPresent(_ field: UInt32, fixed64 number: UInt64) {
        guard number != 0 else { return }
        appendTag(field, .fixed64)
        appendLittleEndian(number)
    }
}
