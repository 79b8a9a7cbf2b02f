import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization

/// What an editing stage does to spans. Used by one thread at a time.
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

extension SpanEditor {
    /// Edits a request's spans, and what they share unless that was done when another part of the request passed `stage`.
    func edit(_ slice: SpanSlice, for stage: AnyObject) throws(EditError) {
        try slice.batch.edit { editor throws(EditError) in
            if editsResources || editsScopes, editor.isFirstTime(for: stage) { try editShared(of: slice.batch, editor) }
            guard editsSpans else { return }
            try slice.forEach { reference throws(EditError) in try edit(reference.span, editor) }
        }
    }

    /// A request's spans come resource by resource, and in these scope by scope.
    private func editShared(of batch: TraceBatch, _ editor: borrowing BatchEditor) throws(EditError) {
        var lastResource: UnsafeRawPointer?
        var lastScope: UnsafeRawPointer?
        for index in 0..<batch.spanCount {
            let span = batch[index]
            if span.scopeIdentity == lastScope { continue }
            lastScope = span.scopeIdentity
            if editsScopes { try edit(span.scope, of: span, editor) }
            let resource = span.resource
            guard editsResources, resource.identity != lastResource else { continue }
            lastResource = resource.identity
            try edit(resource, editor)
        }
    }
}

/// Editors for the threads that need one at the same time, each with buffers of its own that are used again: as many as there are
/// event loops.
final class EditorPool<Editor: SpanEditor>: Sendable {
    private let refused: Counter
    private let make: @Sendable () -> Editor
    private let idle = Mutex(Editors())

    /// Each is used by one thread: whoever has taken it out.
    private struct Editors: @unchecked Sendable {
        var list: [Editor] = []
    }

    /// On its way into or out of `idle`.
    private struct Taken: @unchecked Sendable {
        let editor: Editor?
    }

    /// - Parameter refused: counts what could not be edited because there was no room to write the changes.
    init(refused: Counter, make: @escaping @Sendable () -> Editor) {
        self.refused = refused
        self.make = make
    }

    /// - Parameter stage: whose work it is; what spans share is done once for it.
    /// - Returns: whether something was changed.
    func edit(_ slices: some Sequence<SpanSlice>, for stage: AnyObject) throws(EditError) -> Bool {
        let editor = idle.withLock { Taken(editor: $0.list.popLast()) }.editor ?? make()
        var failure: EditError?
        do throws(EditError) {
            for slice in slices { try editor.edit(slice, for: stage) }
        } catch {
            failure = error
        }
        let isChanged = editor.finish()
        let taken = Taken(editor: editor)
        idle.withLock { editors in
            if let editor = taken.editor { editors.list.append(editor) }
        }
        guard let failure else { return isChanged }
        refused.add()
        throw failure
    }
}
