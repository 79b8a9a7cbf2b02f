import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization

/// What an `EditingProcessor` does to spans. Used by one thread at a time.
protocol SpanEditor: AnyObject {
    /// Whether resources are to be edited, and scopes: each once, before the spans that share it.
    var editsResources: Bool { get }
    var editsScopes: Bool { get }
    var editsSpans: Bool { get }

    func edit(_ resource: ResourceView, _ editor: borrowing BatchEditor) throws(EditError)
    func edit(_ scope: ScopeView, of span: SpanView, _ editor: borrowing BatchEditor) throws(EditError)
    func edit(_ span: SpanView, _ editor: borrowing BatchEditor) throws(EditError)

    /// After a batch, whether it was edited to its end or not: reports what was counted, forgets it with everything that points into
    /// the batch, and gives back what a large one took. True when something was changed.
    func finish() -> Bool
}

/// Changes spans where they lie, on the thread that brings the batch, and holds nothing: a stage like `pii_redaction`, for any editor.
final class EditingProcessor<Editor: SpanEditor>: Consumer, Component {
    let id: String
    private let next: any Consumer<SpanBatch>
    private let refused: Counter
    private let make: @Sendable () -> Editor
    /// One per thread that has been here at the same time as others: as many as there are event loops.
    private let idle = Mutex(Editors())

    /// Each is used by one thread: whoever has taken it out.
    private struct Editors: @unchecked Sendable {
        var list: [Editor] = []
    }

    /// On its way into or out of `idle`.
    private struct Taken: @unchecked Sendable {
        let editor: Editor?
    }

    /// - Parameter refused: counts the batches refused because there was no room to write the changes.
    init(id: String, next: any Consumer<SpanBatch>, refused: Counter, make: @escaping @Sendable () -> Editor) {
        self.id = id
        self.next = next
        self.refused = refused
        self.make = make
    }

    func start() async throws {}

    func shutdown(deadline: ContinuousClock.Instant) async {}

    var health: ComponentHealth { .ok }

    var admission: Outcome { next.admission }

    func consume(_ batch: SpanBatch) -> Outcome {
        var batch = batch
        let editor = idle.withLock { Taken(editor: $0.list.popLast()) }.editor ?? make()
        let isWhole = edit(batch, editor)
        if editor.finish() { batch.recountBytes() }
        let taken = Taken(editor: editor)
        idle.withLock { editors in
            if let editor = taken.editor { editors.list.append(editor) }
        }
        if isWhole { return next.consume(batch) }
        refused.add()
        return .permanent(.tooLarge)
    }

    private func edit(_ batch: SpanBatch, _ editor: Editor) -> Bool {
        do throws(EditError) {
            for slice in batch.slices { try edit(slice, editor) }
            return true
        } catch {
            return false
        }
    }

    private func edit(_ slice: SpanSlice, _ worker: Editor) throws(EditError) {
        try slice.batch.edit { editor throws(EditError) in
            if worker.editsResources || worker.editsScopes, editor.isFirstTime(for: self) {
                try editShared(of: slice.batch, worker, editor)
            }
            guard worker.editsSpans else { return }
            try slice.forEach { reference throws(EditError) in try worker.edit(reference.span, editor) }
        }
    }

    /// A request's spans come resource by resource, and in these scope by scope.
    private func editShared(of batch: TraceBatch, _ worker: Editor, _ editor: borrowing BatchEditor) throws(EditError) {
        var lastResource: UnsafeRawPointer?
        var lastScope: UnsafeRawPointer?
        for index in 0..<batch.spanCount {
            let span = batch[index]
            if span.scopeIdentity == lastScope { continue }
            lastScope = span.scopeIdentity
            if worker.editsScopes { try worker.edit(span.scope, of: span, editor) }
            let resource = span.resource
            guard worker.editsResources, resource.identity != lastResource else { continue }
            lastResource = resource.identity
            try worker.edit(resource, editor)
        }
    }
}
