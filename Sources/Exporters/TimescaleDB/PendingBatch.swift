import Pipeline

/// What is left to do of the batch that a writer was given, kept while the batch is retried: which parts are in the
/// database already, which are known to be bad, and which were lost sight of in COMMIT. Pure; the writer acts on it.
struct PendingBatch {
    /// How a part must be written.
    enum Route: Equatable {
        case plain
        /// Its COMMIT was sent and no answer came: ask what became of it before anything else.
        case inDoubt(LostTransaction)
        /// It may or may not be in the database, and the server cannot tell: insert only what is missing.
        case onlyMissing
    }

    struct Part {
        var batch: SpanBatch
        var route: Route
        /// Rows of it may be in the database from an earlier attempt whose fate nobody can tell, so it is never written `plain`.
        var mayBeThere: Bool
    }

    /// A row that the database does not take.
    struct Refused {
        /// One span.
        let batch: SpanBatch
        let error: DatabaseError
    }

    /// The batch as given, held so that its identity stays its own.
    private let whole: SpanBatch
    private var parts: [Part]
    private(set) var refused: [Refused] = []

    /// A batch that the write-ahead log replays may have been written by the run before.
    init(_ batch: SpanBatch) {
        whole = batch
        let isReplayed = batch.isReplayed
        parts = [Part(batch: batch, route: isReplayed ? .onlyMissing : .plain, mayBeThere: isReplayed)]
    }

    /// Whether this is the rest of `batch`: the queue offers a batch again until it is done or given up.
    func isRest(of batch: SpanBatch) -> Bool {
        guard whole.itemCount == batch.itemCount, whole.slices.count == batch.slices.count else { return false }
        return zip(whole.slices, batch.slices).allSatisfy { $0.batch === $1.batch && $0.range == $1.range }
    }

    /// The part to write next; nil when all is done.
    var next: Part? { parts.last }

    /// The part is in the database.
    mutating func partWritten() {
        parts.removeLast()
    }

    /// The part's COMMIT was sent and not answered.
    mutating func partLost(_ transaction: LostTransaction) {
        parts[parts.count - 1].route = .inDoubt(transaction)
    }

    /// What became of the transaction that the part was lost in.
    mutating func partSettled(_ fate: InDoubt.Fate) {
        let last = parts.count - 1
        switch fate {
        case .aborted: parts[last].route = parts[last].mayBeThere ? .onlyMissing : .plain
        case .committed, .unknown:
            parts[last].mayBeThere = true
            parts[last].route = .onlyMissing
        }
    }

    /// The database refuses the part for its data: halves are tried, and a single row is set aside.
    mutating func partRefused(_ error: DatabaseError) {
        var part = parts.removeLast()
        guard part.batch.itemCount > 1 else {
            if part.batch.itemCount > 0 { refused.append(Refused(batch: part.batch, error: error)) }
            return
        }
        var first = part
        first.batch = part.batch.removeFirst(part.batch.itemCount / 2)
        parts.append(part)
        parts.append(first)
    }
}

/// A transaction whose COMMIT was sent and not answered.
struct LostTransaction: Equatable {
    /// `pg_current_xact_id()`, digits.
    let transactionID: String
    /// The backend's process id, digits.
    let backend: String
    /// `Connection.serverIdentity` when it ran.
    let serverIdentity: String?
}
