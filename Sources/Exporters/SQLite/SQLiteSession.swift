import Glibc
import OTLPWire
import Pipeline

/// The open database of one exporter: connection, prepared statements, and what is known about the file.
///
/// **Durability.** WAL journal with `synchronous = FULL`: when COMMIT has returned, the batch survives the process, the kernel
/// and the power, so whoever keeps a batch until it is written may forget it then. That costs one `fsync` per batch; NORMAL
/// would save it and could lose the last commits with the power.
///
/// **Once.** A batch is one transaction, tried again when it fails, and a COMMIT that reports an error has not happened:
/// SQLite makes a transaction visible (moves the end of the log in the shared index) only after its frames were written and
/// synced without error; a failed one stays behind that end, and the next attempt overwrites it there. Only recovery from
/// scratch could find its frames, and recovery happens only when no connection has the file open; therefore a connection whose
/// write failed is kept, not reopened. (Work after the commit, moving the log into the database, reports no errors.)
/// A batch that the collector's write-ahead log replays may be in the file from the run before, which may have been killed after COMMIT
/// and before it could tell its log: of such a batch only the spans (trace_id, span_id, ts) are inserted that the file does not hold.
final class SQLiteSession {
    let connection: SQLiteConnection
    /// Migrations that opening has run.
    let migrated: [SQLiteSchema.Migration]
    private let config: SQLiteConfig
    private var traces: TracesInsert
    private let resources: SQLiteStatement
    private let deleteBefore: SQLiteStatement
    private let deleteOldest: SQLiteStatement
    private var knownResources: Set<Int64> = []

    enum Failure: Error {
        case sqlite(SQLiteError)
        case problem(ExportProblem)
    }

    /// Opens the file, making it, its directory and its tables where they are missing.
    init(_ config: SQLiteConfig) throws(Failure) {
        self.config = config
        if let problem = Self.makeDirectory(of: config.path) { throw .problem(problem) }
        let opened: (connection: SQLiteConnection, migrated: [SQLiteSchema.Migration])
        do throws(SQLiteMigrator.Failure) {
            opened = try Self.open(config)
        } catch {
            switch error {
            case .sqlite(let error): throw .sqlite(error)
            case .newerSchema(let version):
                throw .problem(SQLiteProblem.newerSchema(version, known: SQLiteSchema.currentVersion, path: config.path))
            }
        }
        (connection, migrated) = opened
        do throws(SQLiteError) {
            traces = try TracesInsert(connection, window: config.timestampWindow)
            resources = try SQLiteStatement(connection, "insert or ignore into resources values (?1, ?2, ?3, ?4, ?5)")
            let oldest = "select rowid from traces indexed by idx_traces_ts"
            deleteBefore = try SQLiteStatement(
                connection, "delete from traces where rowid in (\(oldest) where ts < ?1 order by ts limit ?2)")
            deleteOldest = try SQLiteStatement(
                connection, "delete from traces where rowid in (\(oldest) order by ts limit ?1)")
        } catch { throw .sqlite(error) }
    }

    private static func open(
        _ config: SQLiteConfig
    ) throws(SQLiteMigrator.Failure) -> (SQLiteConnection, [SQLiteSchema.Migration]) {
        let connection: SQLiteConnection
        do throws(SQLiteError) {
            connection = try SQLiteConnection(path: config.path)
            connection.setBusyTimeout(milliseconds: SQLiteLimits.busyTimeoutMilliseconds)
            // The first two shape a new file and do nothing to an old one; they must come before anything is written.
            try connection.execute("pragma page_size = \(SQLiteLimits.pageBytes)")
            try connection.execute("pragma auto_vacuum = incremental")
            let journal = try SQLiteStatement(connection, "pragma journal_mode = wal")
            guard try journal.step(), journal.text(0) == "wal" else {
                throw SQLiteError(code: SQLiteError.noSharedMemory, message: "")
            }
            journal.reset()
            try connection.execute("pragma synchronous = full")
            try connection.execute("pragma cache_size = -\(SQLiteLimits.cacheKiB)")
            try connection.execute("pragma wal_autocheckpoint = \(SQLiteLimits.checkpointPages)")
            try connection.execute("pragma journal_size_limit = \(SQLiteLimits.journalBytes)")
        } catch { throw .sqlite(error) }
        return (connection, try SQLiteMigrator.migrate(connection))
    }

    /// Makes the directories above `path` that are missing; what went wrong.
    private static func makeDirectory(of path: String) -> ExportProblem? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true).dropLast()
        var directory = path.hasPrefix("/") ? "" : "."
        for part in parts {
            directory += "/\(part)"
            // Prompts may be in there: nobody else needs to look.
            if mkdir(directory, 0o750) == 0 || errno == EEXIST { continue }
            let reason = errno
            var status = stat()
            // Existing directories may report other errors (EROFS).
            if stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { continue }
            return SQLiteProblem.directory(directory, reason: String(cString: strerror(reason)))
        }
        return nil
    }

    // MARK: Writing

    struct Written {
        /// Rows that the database does not take.
        var refused = 0
        /// Why, the last one's reason.
        var reason: SQLiteError?
        /// JSON columns left out because they exceeded `RowLimits`.
        var oversizedColumns = 0
    }

    /// Writes the batch in one transaction. When it throws, nothing of it is in the database.
    ///
    /// - Parameter deadLetters: takes refused rows, before the commit: afterwards the batch could not be tried again.
    func write(_ batch: SpanBatch, deadLetters: DeadLetterFile? = nil) throws(Failure) -> Written {
        var newResources: Set<Int64> = []
        defer { traces.endBatch() }
        do throws(Failure) {
            let written = try insert(batch, deadLetters, &newResources)
            do throws(SQLiteError) { try connection.execute("commit") } catch { throw .sqlite(error) }
            if knownResources.count + newResources.count > SQLiteLimits.knownResourcesMax { knownResources = [] }
            knownResources.formUnion(newResources)
            return written
        } catch {
            connection.rollBack()
            throw error
        }
    }

    /// Begins a transaction and inserts what `batch` holds.
    private func insert(
        _ batch: SpanBatch, _ deadLetters: DeadLetterFile?, _ newResources: inout Set<Int64>
    ) throws(Failure) -> Written {
        var written = Written()
        var letters: [DeadLetterFile.Letter] = []
        do throws(SQLiteError) {
            // Immediate: waiting for another writer happens here and not in the middle.
            try connection.execute("begin immediate")
            try traces.startBatch(onlyMissing: batch.isReplayed)
            try batch.forEach { (reference) throws(SQLiteError) in
                do throws(SQLiteError) {
                    try traces.insert(reference)
                } catch {
                    guard error.isAboutData else { throw error }
                    written.refused += 1
                    written.reason = error
                    let problem = SQLiteProblem.of(error, path: config.path)
                    letters.append(DeadLetterFile.Letter(reference: reference, problem: problem, code: "\(error.code)"))
                }
            }
            for row in traces.newResources where !knownResources.contains(row.id) && newResources.insert(row.id).inserted {
                try insert(row)
            }
        } catch { throw .sqlite(error) }
        if let deadLetters, !letters.isEmpty {
            do throws(ExportProblem) { try deadLetters.append(letters) } catch { throw .problem(error) }
        }
        written.oversizedColumns = traces.oversizedColumns
        return written
    }

    private func insert(_ row: ResourceRow) throws(SQLiteError) {
        try resources.bind(1, row.id)
        try resources.bind(2, copyOf: row.serviceName)
        try resources.bind(3, copyOf: row.attributesJSON)
        if row.schemaURL.isEmpty { try resources.bindNull(4) } else { try resources.bind(4, copyOf: row.schemaURL) }
        try resources.bind(5, copyOf: TimestampText.bytes(microseconds: Self.nowMicroseconds))
        try resources.run()
        resources.clearBindings()
    }

    static var nowMicroseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }

    // MARK: Deleting

    /// Deletes up to `SQLiteLimits.deleteRows` spans from before the retention; how many they were.
    func deleteExpired(nowMicroseconds: Int64) throws(SQLiteError) -> Int {
        guard let retention = config.retention else { return 0 }
        let (seconds, attoseconds) = retention.components
        // Whatever the operator wrote, the year stays one of four digits.
        let microseconds = min(seconds, nowMicroseconds / 1_000_000) * 1_000_000 + attoseconds / 1_000_000_000_000
        let cutoff = TimestampText.bytes(microseconds: max(nowMicroseconds - microseconds, 0))
        try deleteBefore.bind(1, copyOf: cutoff)
        try deleteBefore.bind(2, Int64(SQLiteLimits.deleteRows))
        try deleteBefore.run()
        return connection.changes
    }

    /// Deletes up to `rows` of the oldest spans when the file is nearly as large as it may be, and gives room in excess back to
    /// the file system. Returns whether it is to be called again.
    func keepSize(deletingUpTo rows: Int) throws(SQLiteError) -> Bool {
        guard let maxSizeMiB = config.maxSizeMiB else { return false }
        let pageBytes = try connection.integer("pragma page_size") ?? SQLiteLimits.pageBytes
        let pagesMax = maxSizeMiB * 1_024 * 1_024 / pageBytes
        var pages = try connection.integer("pragma page_count") ?? 0
        var free = try connection.integer("pragma freelist_count") ?? 0
        let isOverFilled = pages - free > Int(Double(pagesMax) * SQLiteLimits.fillFraction)
        var deleted = 0
        if isOverFilled {
            try deleteOldest.bind(1, Int64(rows))
            try deleteOldest.run()
            deleted = connection.changes
            free = try connection.integer("pragma freelist_count") ?? 0
        }
        let excess = min(pages - pagesMax, free)
        if excess > 0 {
            // Each row of this pragma's result is one page moved; it does nothing to files without auto_vacuum.
            try connection.execute("pragma incremental_vacuum(\(min(excess, SQLiteLimits.vacuumPages)))")
        }
        let before = pages
        pages = try connection.integer("pragma page_count") ?? 0
        return deleted > 0 || pages < before
    }
}

extension SQLiteConfig {
    /// Spans from before the retention get their arrival time, as they would be deleted at once. Without a retention any start
    /// is believed.
    var timestampWindow: TimestampWindow {
        TimestampWindow(past: retention ?? .seconds(Int64.max / 4), future: .seconds(3_600))
    }
}
