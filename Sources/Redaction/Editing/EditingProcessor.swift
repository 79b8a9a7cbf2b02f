import OTLPWire
import Pipeline
import SelfTelemetry

/// Changes spans where they lie, on the thread that brings the batch, and holds nothing: a stage like `pii_redaction`, for any editor.
final class EditingProcessor<Editor: SpanEditor>: Consumer, Component {
    let id: String
    private let next: any Consumer<SpanBatch>
    private let pool: EditorPool<Editor>
    private let isDone: (@Sendable (TraceBatch) -> Bool)?

    /// - Parameters:
    ///   - refused: counts the batches refused because there was no room to write the changes.
    ///   - isDone: tells requests that need no editing any more.
    init(
        id: String, next: any Consumer<SpanBatch>, refused: Counter, isDone: (@Sendable (TraceBatch) -> Bool)? = nil,
        make: @escaping @Sendable () -> Editor
    ) {
        self.id = id
        self.next = next
        self.isDone = isDone
        pool = EditorPool(refused: refused, make: make)
    }

    func start() async throws {}

    func shutdown(deadline: ContinuousClock.Instant) async {}

    var health: ComponentHealth { .ok }

    var admission: Outcome { next.admission }

    func consume(_ batch: SpanBatch) -> Outcome {
        var batch = batch
        do throws(EditError) {
            let slices = batch.slices.lazy.filter { [isDone] slice in isDone?(slice.batch) != true }
            if try pool.edit(slices, for: self) { batch.recountBytes() }
        } catch {
            return .permanent(.tooLarge)
        }
        return next.consume(batch)
    }
}
