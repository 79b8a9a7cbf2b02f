import OTLPWire
import SelfTelemetry

/// Carries out the actions of `attributes` on the spans that its filter selects.
final class SpanAttributesEditor: SpanEditor {
    private let runner: ActionRunner
    @exclusivity(unchecked) private var filter: SpanFilter
    private let changed: Counter
    @exclusivity(unchecked) private var changes = 0
    @exclusivity(unchecked) private var output = OutputBuffer()

    let editsResources = false
    let editsScopes = false
    let editsSpans = true

    init(_ runner: ActionRunner, _ filter: consuming SpanFilter, changed: Counter) {
        self.runner = runner
        self.filter = filter
        self.changed = changed
    }

    func edit(_ resource: ResourceView, _ editor: borrowing BatchEditor) throws(EditError) {}

    func edit(_ scope: ScopeView, of span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {}

    func edit(_ span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {
        guard filter.selects(span) else { return }
        output.truncate(to: 0)
        guard let count = runner.run(span.encodedAttributes, field: OTLPField.Span.attributes, into: &output) else { return }
        try output.withBytes { (bytes) throws(EditError) in try editor.setAttributes(of: span, encoded: bytes, count: count) }
        changes += 1
    }

    func finish() -> Bool {
        filter.reset()
        return runner.finish(&changes, changed, &output)
    }
}

/// Carries out the actions of `resource`.
final class ResourceAttributesEditor: SpanEditor {
    private let runner: ActionRunner
    private let changed: Counter
    @exclusivity(unchecked) private var changes = 0
    @exclusivity(unchecked) private var output = OutputBuffer()

    let editsResources = true
    let editsScopes = false
    let editsSpans = false

    init(_ runner: ActionRunner, changed: Counter) {
        self.runner = runner
        self.changed = changed
    }

    func edit(_ resource: ResourceView, _ editor: borrowing BatchEditor) throws(EditError) {
        output.truncate(to: 0)
        guard runner.run(resource.encoded, field: OTLPField.Resource.attributes, into: &output) != nil else { return }
        try output.withBytes { (bytes) throws(EditError) in try editor.setResource(resource, encoded: bytes) }
        changes += 1
    }

    func edit(_ scope: ScopeView, of span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {}

    func edit(_ span: SpanView, _ editor: borrowing BatchEditor) throws(EditError) {}

    func finish() -> Bool {
        runner.finish(&changes, changed, &output)
    }
}

extension ActionRunner {
    /// The end of a batch in which `changes` messages were changed.
    fileprivate func finish(_ changes: inout Int, _ counter: Counter, _ output: inout OutputBuffer) -> Bool {
        defer { changes = 0 }
        list.shrink()
        output.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
        if changes > 0 { counter.add(changes) }
        return changes > 0
    }
}
