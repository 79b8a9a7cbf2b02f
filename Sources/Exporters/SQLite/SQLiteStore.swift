import Logging
import Pipeline
import Synchronization

/// The database behind a lock: the worker that writes batches and the timer that deletes old spans take turns, so neither
/// ever finds it locked by the other. Opened when it is needed, and again after the file was deleted or replaced.
final class SQLiteStore: Sendable {
    private let config: SQLiteConfig
    private let logger: Logger
    private let session = Mutex<SQLiteSession?>(nil)
    private let deadLetters: DeadLetterFile?

    /// - Parameter deadLetters: takes rows that the database refuses; nil: they are lost.
    init(_ config: SQLiteConfig, deadLetters: DeadLetterFile? = nil, logger: Logger) {
        self.config = config
        self.deadLetters = deadLetters
        self.logger = logger
    }

    /// Opens the database, if it is not open, and brings its schema up to date.
    func open() throws(ExportProblem) {
        _ = try session.withLock { (session) throws(ExportProblem) in try opened(&session).migrated.count }
    }

    func close() {
        session.withLock { $0 = nil }
    }

    func write(_ batch: SpanBatch) -> WriteOutcome {
        let written: SQLiteSession.Written
        do throws(ExportProblem) {
            written = try with { (session) throws(SQLiteSession.Failure) in
                let written = try session.write(batch, deadLetters: deadLetters)
                // Twice what came in, so that a file that is over its size shrinks under any load. The batch is written
                // whether or not this succeeds; `maintain` tries again and reports.
                try? _ = session.keepSize(deletingUpTo: max(batch.itemCount * 2, SQLiteLimits.deleteRows))
                return written
            }
        } catch {
            return .retryable(error, after: nil)
        }
        if written.oversizedColumns > 0 {
            logger.error("values too large for a row were left out", metadata: ["columns": "\(written.oversizedColumns)"])
        }
        if let reason = written.reason {
            let problem = SQLiteProblem.of(reason, path: config.path)
            let isSaved = deadLetters != nil
            return .permanent(problem, lostItems: isSaved ? 0 : written.refused, savedItems: isSaved ? written.refused : 0)
        }
        return .written
    }

    /// Deletes what is too old, and the oldest of what is too much, in small steps between which batches are written.
    ///
    /// - Parameter isStopping: asked before each step.
    func maintain(nowMicroseconds: Int64, isStopping: () -> Bool) throws(ExportProblem) {
        var expired = 0
        var again = true
        while again, !isStopping() {
            let deleted = try with { (session) throws(SQLiteSession.Failure) in
                do throws(SQLiteError) {
                    return try session.deleteExpired(nowMicroseconds: nowMicroseconds)
                } catch { throw .sqlite(error) }
            }
            expired += deleted
            again = deleted == SQLiteLimits.deleteRows
        }
        again = true
        while again, !isStopping() {
            again = try with { (session) throws(SQLiteSession.Failure) in
                do throws(SQLiteError) {
                    return try session.keepSize(deletingUpTo: SQLiteLimits.deleteRows)
                } catch { throw .sqlite(error) }
            }
        }
        if expired > 0 { logger.info("deleted spans older than the retention", metadata: ["spans": "\(expired)"]) }
    }

    private func with<Result: Sendable>(
        _ body: (SQLiteSession) throws(SQLiteSession.Failure) -> Result
    ) throws(ExportProblem) -> Result {
        try session.withLock { (session) throws(ExportProblem) in
            if session?.connection.fileIsGone == true {
                logger.warning("the database file was deleted or replaced; opening it anew", metadata: ["path": "\(config.path)"])
                session = nil
            }
            let open = try opened(&session)
            do throws(SQLiteSession.Failure) {
                return try body(open)
            } catch {
                switch error {
                case .sqlite(let error):
                    if SQLiteProblem.requiresReopen(error) { session = nil }
                    throw SQLiteProblem.of(error, path: config.path)
                case .problem(let problem): throw problem
                }
            }
        }
    }

    private func opened(_ session: inout SQLiteSession?) throws(ExportProblem) -> SQLiteSession {
        if let session { return session }
        do throws(SQLiteSession.Failure) {
            let made = try SQLiteSession(config)
            for migration in made.migrated {
                logger.info("schema migrated", metadata: ["version": "\(migration.version)", "step": "\(migration.name)"])
            }
            session = made
            return made
        } catch {
            switch error {
            case .sqlite(let error): throw SQLiteProblem.of(error, path: config.path)
            case .problem(let problem): throw problem
            }
        }
    }
}

/// The exporter's one writer.
final class SQLiteWriter: BatchWriter {
    private let store: SQLiteStore

    init(_ store: SQLiteStore) {
        self.store = store
    }

    /// Blocks for `SQLiteLimits.busyTimeoutMilliseconds` at most beyond the time of the disk.
    func write(_ batch: SpanBatch, cancellation: Cancellation) -> WriteOutcome { store.write(batch) }

    func close() { store.close() }
}
