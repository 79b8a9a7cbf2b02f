import OTLPWire

/// Redacts spans in place, everywhere the configuration says. Used by one thread at a time.
final class SpanRedactor: SpanEditor {
    private let fields: FieldPaths
    private let readsName: Bool
    private let readsStatus: Bool
    private let scansResource: Bool
    private let scansAttributes: Bool
    private let scansEvents: Bool
    private let summary: Bool
    private let values: ValueRedactor
    /// Nil for dry runs.
    private let metrics: PIIRedactionMetrics?
    private var spansChanged = 0
    /// Unchecked, as in `RedactionScratch`.
    @exclusivity(unchecked) private var attributes = OutputBuffer()
    @exclusivity(unchecked) private var parts = OutputBuffer()

    /// Attributes that `summary` adds.
    private static let countKey: StaticString = "redaction.count"
    private static let kindsKey: StaticString = "redaction.kinds"

    let editsResources: Bool
    let editsScopes = false
    let editsSpans = true

    init(_ config: PIIRedactionConfig, _ redactor: TextRedactor, _ metrics: PIIRedactionMetrics?) {
        fields = config.fields
        readsName = config.places.contains(.name) || config.fields.name != nil
        readsStatus = config.places.contains(.statusMessage) || config.fields.statusMessage != nil
        scansResource = config.places.contains(.resource)
        scansAttributes = config.places.contains(.attributes)
        scansEvents = config.places.contains(.events)
        summary = config.summary
        editsResources = config.places.contains(.resource) || !config.fields.resource.isEmpty
        values = ValueRedactor(redactor)
        self.metrics = metrics
    }

    func finish() -> Bool {
        let isChanged = values.counts.contains { $0 > 0 }
        if isChanged { metrics?.add(values: values.counts, spans: spansChanged) }
        values.reset()
        spansChanged = 0
        attributes.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
        parts.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
        return isChanged
    }

    /// Told of each value found: for dry runs.
    var observer: RedactionObserver? {
        get { values.observer }
        set { values.observer = newValue }
    }

    // MARK: Resources

    func edit(_ scope: ScopeView, of span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {}

    func edit(_ resource: ResourceView, _ editor: borrowing BatchEditor) throws(EditError) {
        observer?.beginResource()
        observer?.begin("resource.attributes")
        attributes.truncate(to: 0)
        let count = values.rewrite(
            resource.encoded, field: OTLPField.Resource.attributes, rules: fields.resource, scans: scansResource,
            into: &attributes)
        values.startSpan()
        guard count != nil else { return }
        try attributes.withBytes { (bytes) throws(EditError) in try editor.setResource(resource, encoded: bytes) }
    }

    // MARK: Spans

    func edit(_ span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {
        values.startSpan()
        observer?.beginSpan()
        observer?.begin("span.attributes")
        attributes.truncate(to: 0)
        let count = values.rewrite(
            span.encodedAttributes, field: OTLPField.Span.attributes, rules: fields.span, scans: scansAttributes, into: &attributes)
        try redactParts(of: span, editor)
        guard values.spanTotal > 0 else { return }
        spansChanged += 1
        guard count != nil || summary else { return }
        if count == nil { attributes.append(span.encodedAttributes) }
        if summary { appendSummary() }
        try attributes.withBytes { (bytes) throws(EditError) in
            try editor.setAttributes(of: span, encoded: bytes, count: (count ?? span.attributeCount) + (summary ? 2 : 0))
        }
    }

    private func appendSummary() {
        attributes.appendAttribute(OTLPField.Span.attributes, key: Self.bytes(Self.countKey), int: Int64(values.spanTotal))
        attributes.appendAttribute(OTLPField.Span.attributes, key: Self.bytes(Self.kindsKey), strings: values.spanKinds)
    }

    private static func bytes(_ text: StaticString) -> WireBytes {
        WireBytes(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// Name, status and events, which are put in place together.
    private func redactParts(of span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {
        parts.truncate(to: 0)
        var name: Range<Int>?
        observer?.begin("span.name")
        if readsName { name = redactText(span.name, fields.name) }
        var status: Range<Int>?
        observer?.begin("span.status.message")
        if readsStatus { status = redactStatus(span.status) }
        var events: [Range<Int>?] = []
        if scansEvents || !fields.event.isEmpty {
            for index in 0..<span.eventCount {
                guard let event = redact(span.event(at: index), number: index) else { continue }
                if events.isEmpty { events = Array(repeating: nil, count: span.eventCount) }
                events[index] = event
            }
        }
        guard name != nil || status != nil || !events.isEmpty else { return }
        try parts.withBytes { (bytes) throws(EditError) in
            func written(_ range: Range<Int>?) -> WireBytes? { range.map { WireBytes(rebasing: bytes[$0]) } }
            try editor.setParts(
                of: span, name: written(name) ?? span.name, status: written(status) ?? span.status.encoded,
                event: { index in written(events.isEmpty ? nil : events[index]) ?? span.event(at: index).encoded })
        }
    }

    /// Appends to `parts`; nil when nothing was found.
    private func redactText(_ text: WireBytes, _ strategy: Strategy?) -> Range<Int>? {
        guard !text.isEmpty, values.find(text, name: WireBytes(start: nil, count: 0), strategy) else { return nil }
        let start = parts.count
        values.scratch.write(text, into: &parts)
        return start..<parts.count
    }

    private func redactStatus(_ status: StatusView) -> Range<Int>? {
        guard !status.message.isEmpty, values.find(status.message, name: WireBytes(start: nil, count: 0), fields.statusMessage) else {
            return nil
        }
        let start = parts.count
        for (field, encoded) in EncodedFields(status.encoded) where field.number != OTLPField.Status.message { parts.append(encoded) }
        parts.appendMessage(OTLPField.Status.message) { values.scratch.write(status.message, into: &$0) }
        return start..<parts.count
    }

    private func redact(_ event: EventView, number: Int) -> Range<Int>? {
        let start = parts.count
        observer?.begin("event.attributes", event: number)
        let count = values.rewrite(
            event.encoded, field: OTLPField.Event.attributes, rules: fields.event, scans: scansEvents, into: &parts)
        observer?.begin("event.name", event: number)
        let hasName = scansEvents && !event.name.isEmpty && values.find(event.name, name: WireBytes(start: nil, count: 0), nil)
        guard count != nil || hasName else { return nil }
        if count == nil { parts.append(event.encoded) }
        // Of a repeated field the last occurrence counts; the old name must not stay before it.
        if hasName { replaceName(of: event, from: start) }
        return start..<parts.count
    }

    private func replaceName(of event: EventView, from start: Int) {
        var renamed = OutputBuffer()
        parts.withBytes { bytes in
            for (field, encoded) in EncodedFields(WireBytes(rebasing: bytes[start...])) where field.number != OTLPField.Event.name {
                renamed.append(encoded)
            }
        }
        renamed.appendMessage(OTLPField.Event.name) { values.scratch.write(event.name, into: &$0) }
        parts.truncate(to: start)
        renamed.withBytes { parts.append($0) }
    }
}
