import CSQLite
import Pipeline

/// What SQLite's result codes mean to the operator. Every one of these can be repaired from outside while the collector
/// waits, so none makes it drop spans.
enum SQLiteProblem {
    static func of(_ error: SQLiteError, path: String) -> ExportProblem {
        switch error.primaryCode {
        case _ where error.code == SQLiteError.noSharedMemory:
            ExportProblem(kind: "path", "\(path): the file system has no shared memory (a network drive?); use a local one")
        case SQLITE_FULL:
            ExportProblem(kind: "disk", "\(path): the disk is full, or the database has reached its max_page_count")
        case SQLITE_IOERR:
            ExportProblem(kind: "disk", "\(path): reading or writing failed (\(error.message), code \(error.code))")
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL:
            ExportProblem(kind: "locked", "\(path): another process keeps the database locked")
        case SQLITE_READONLY, SQLITE_PERM, SQLITE_AUTH:
            ExportProblem(kind: "permission", "\(path): no permission to write the file or its directory")
        case SQLITE_CANTOPEN:
            ExportProblem(kind: "path", "\(path): cannot open or create the file")
        case SQLITE_NOTADB:
            ExportProblem(kind: "corrupt", "\(path): is no SQLite database; name another path or move the file away")
        case SQLITE_CORRUPT:
            ExportProblem(
                kind: "corrupt",
                "\(path): is damaged; save what can be read with the sqlite3 command .recover, and move the file away")
        case SQLITE_NOMEM:
            ExportProblem(kind: "memory", "\(path): SQLite ran out of memory")
        case SQLITE_ERROR, SQLITE_SCHEMA:
            ExportProblem(kind: "schema", "\(path): the tables are not as the collector made them (\(error.message))")
        case SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH:
            ExportProblem(kind: "data", "\(path): the database refused rows (\(error.message))")
        default:
            ExportProblem(kind: "sqlite", "\(path): \(error.message), code \(error.code)")
        }
    }

    static func newerSchema(_ version: Int, known: Int, path: String) -> ExportProblem {
        ExportProblem(
            kind: "schema",
            "\(path): made by a newer collector (schema \(version), this one knows up to \(known)); use that or another file")
    }

    static func directory(_ path: String, reason: String) -> ExportProblem {
        ExportProblem(kind: "path", "\(path): cannot make the directory (\(reason))")
    }

    /// Kinds that an operator has to deal with: at start they end the process instead of being retried.
    static func isFatalAtStart(_ problem: ExportProblem) -> Bool {
        ["permission", "path", "corrupt", "schema"].contains(problem.kind)
    }

    /// Whether the connection is of no further use after `error`. After a failed write it is kept: see `SQLiteSession`.
    static func requiresReopen(_ error: SQLiteError) -> Bool {
        [SQLITE_NOTADB, SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM, SQLITE_ERROR, SQLITE_SCHEMA]
            .contains(error.primaryCode)
    }
}
