import Pipeline

/// The SQL that a writer sends, made once.
struct CopyStatements {
    private let begin: String
    private let copyHead: String
    private let temporaryHead: String
    private let insertHead: String

    private static let temporaryTable = "collector_in_doubt"

    init(schema: SQLIdentifier) {
        let columns = CopyEncoder.columns.joined(separator: ", ")
        begin = "begin; set local lock_timeout = \(TimescaleDBLimits.lockTimeoutMilliseconds)"
        copyHead = "copy \(schema).traces (\(columns)) from stdin (format binary)"
        temporaryHead = """
            create temporary table \(Self.temporaryTable) (like \(schema).traces including defaults) on commit drop; \
            copy pg_temp.\(Self.temporaryTable) (\(columns)) from stdin (format binary)
            """
        insertHead = """
            insert into \(schema).traces (\(columns)) select \(columns) from pg_temp.\(Self.temporaryTable) new \
            where not exists (select from \(schema).traces old \
            where old.trace_id = new.trace_id and old.span_id = new.span_id and old.ts = new.ts
            """
    }

    /// Starts a transaction and a COPY in it; returns the transaction's id and the backend's process id. The transaction holds the run's
    /// lock (`CommitBarrier`).
    func copy(_ run: LogIdentity) -> String { "\(identified(run)); \(copyHead)" }

    /// The same into a temporary table that goes with the transaction.
    func copyIntoTemporary(_ run: LogIdentity) -> String { "\(identified(run)); \(temporaryHead)" }

    private func identified(_ run: LogIdentity) -> String {
        "\(begin); select pg_current_xact_id()::text, pg_backend_pid()::text, pg_advisory_xact_lock_shared(\(CommitBarrier.key(run)))"
    }

    /// Inserts the rows of the temporary table that `traces` lacks.
    ///
    /// - Parameters: smallest and largest `ts` of these rows, Unix microseconds. As literals they let the planner leave out
    ///   all chunks that cannot hold one; without them the join reads the whole table.
    func insertMissing(from earliest: Int64, to latest: Int64) -> String {
        """
        \(insertHead) and old.ts >= timestamptz '\(UTCTimestamp.text(earliest))' \
        and old.ts <= timestamptz '\(UTCTimestamp.text(latest))')
        """
    }
}

/// Points in time as SQL takes them.
enum UTCTimestamp {
    /// `2026-01-31 23:59:59.999999+00` for Unix microseconds, exactly.
    static func text(_ microseconds: Int64) -> String {
        let perDay: Int64 = 86_400_000_000
        let (day, time) = floorDivided(microseconds, by: perDay)
        // Civil date from the day number: a year that begins in March has its leap day last, and 400 years repeat.
        let (era, dayOfEra) = floorDivided(day + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let dayOfMonth = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let seconds = time / 1_000_000
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2)) "
            + "\(padded(seconds / 3_600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2)).\(padded(time % 1_000_000, 6))+00"
    }

    private static func floorDivided(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(width - digits.utf8.count, 0)) + digits
    }
}
