import OTLPWire

/// Redacts resources, scopes, spans and their events.
final class KeyRedactionEditor: SpanEditor {
    private let redactor: KeyRedactor
    private let metrics: KeyRedactionMetrics
    @exclusivity(unchecked) private var output = OutputBuffer()
    @exclusivity(unchecked) private var isChanged = false

    let editsResources = true
    let editsScopes = true
    let editsSpans = true

    init(_ config: KeyRedactionConfig, _ metrics: KeyRedactionMetrics) {
        redactor = KeyRedactor(config)
        self.metrics = metrics
    }

    func edit(_ resource: ResourceView, _ editor: borrowing BatchEditor) throws(EditError) {
        guard redact(resource.encoded, OTLPField.Resource.attributes) != nil else { return }
        try output.withBytes { (bytes) throws(EditError) in try editor.setResource(resource, encoded: bytes) }
    }

    func edit(_ scope: ScopeView, of span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {
        guard redact(scope.encoded, OTLPField.Scope.attributes) != nil else { return }
        try output.withBytes { (bytes) throws(EditError) in try editor.setScope(of: span, encoded: bytes) }
    }

    func edit(_ span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {
        if let count = redact(span.encodedAttributes, OTLPField.Span.attributes) {
            try output.withBytes { (bytes) throws(EditError) in try editor.setAttributes(of: span, encoded: bytes, count: count) }
        }
        if span.eventCount > 0 { try editEvents(of: span, editor) }
    }

    /// Into `output`; nil when nothing changes.
    private func redact(_ message: WireBytes, _ field: UInt32) -> Int? {
        output.truncate(to: 0)
        let count = redactor.run(message, field: field, into: &output)
        if count != nil { isChanged = true }
        return count
    }

    /// All events of the span are put in place together.
    private func editEvents(of span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {
        output.truncate(to: 0)
        var events: [Range<Int>?] = []
        for index in 0..<span.eventCount {
            let start = output.count
            guard redactor.run(span.event(at: index).encoded, field: OTLPField.Event.attributes, into: &output) != nil else { continue }
            if events.isEmpty { events = Array(repeating: nil, count: span.eventCount) }
            events[index] = start..<output.count
        }
        guard !events.isEmpty else { return }
        isChanged = true
        try output.withBytes { (bytes) throws(EditError) in
            try editor.setParts(
                of: span, name: span.name, status: span.status.encoded,
                event: { index in events[index].map { WireBytes(rebasing: bytes[$0]) } ?? span.event(at: index).encoded })
        }
    }

    func finish() -> Bool {
        defer { isChanged = false }
        if redactor.removedCount > 0 { metrics.removed.add(redactor.removedCount) }
        if redactor.maskedCount > 0 { metrics.masked.add(redactor.maskedCount) }
        redactor.reset()
        output.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
        return isChanged
    }
}
