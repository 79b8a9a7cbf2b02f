import Pipeline

/// Finds out what became of a transaction whose COMMIT was sent and not answered.
///
/// The transaction's status is only believed from the very server, on the same timeline, that ran it: after a fail-over the
/// same id may name another transaction. While it is in progress nothing else may be done with its rows.
enum InDoubt {
    enum Fate: Equatable {
        /// A transaction of this id has committed: most likely the lost one. But when the server crashed before anything of the lost
        /// one was on its disk, it has given the id to another one since, which may be the one that committed. So the rows are most
        /// likely in the table, and only missing rows may be inserted.
        case committed
        /// Its rows are not in the table, and never will be.
        case aborted
        /// The server cannot tell, but no transaction of this id is running: only missing rows may be inserted.
        case unknown
    }

    /// What one look at the server says.
    enum Sight: Equatable {
        case settled(Fate)
        case inProgress
    }

    /// - Parameter status: what `pg_xact_status` returned; nil for NULL (too long ago), or when the id is unknown.
    static func judge(status: String?, ranOn: String?, asked: String?) -> Sight {
        if status == "in progress" { return .inProgress }
        guard let ranOn, ranOn == asked else { return .settled(.unknown) }
        switch status {
        case "committed": return .settled(.committed)
        case "aborted": return .settled(.aborted)
        default: return .settled(.unknown)
        }
    }

    /// Asks until the transaction is no longer in progress; throws when that takes too long, or the time is up.
    static func settle(
        _ transaction: LostTransaction, on connection: Connection, _ cancellation: Cancellation
    ) throws(DatabaseError) -> Fate {
        let start = ContinuousClock.now
        var pause = TimescaleDBLimits.doubtPollFirst
        while true {
            let status = try status(of: transaction, on: connection)
            let sight = judge(status: status, ranOn: transaction.serverIdentity, asked: connection.serverIdentity)
            if case .settled(let fate) = sight { return fate }
            let waited = ContinuousClock.now - start
            guard waited < TimescaleDBLimits.doubtWaitMax else {
                throw .connection("a transaction whose COMMIT was not answered is still in progress")
            }
            if waited > TimescaleDBLimits.doubtTerminateAfter { try endBackend(of: transaction, on: connection) }
            guard cancellation.wait(pause) else { throw .interrupted }
            pause = min(pause * 2, TimescaleDBLimits.doubtPollMax)
        }
    }

    private static func status(of transaction: LostTransaction, on connection: Connection) throws(DatabaseError) -> String? {
        do {
            return try connection.query("select pg_xact_status('\(transaction.transactionID)'::xid8)").first?[0]
        } catch {
            // 22023: the id lies in the future, so this server never gave it out.
            if case .server(sqlState: "22023", _) = error { return nil }
            throw error
        }
    }

    /// Ends a backend that has not noticed that its client is gone; not one that waits for a synchronous standby, for that
    /// would lose the guarantee it waits for.
    private static func endBackend(of transaction: LostTransaction, on connection: Connection) throws(DatabaseError) {
        try connection.query(
            """
            select pg_terminate_backend(pid) from pg_stat_activity where pid = \(transaction.backend) \
            and backend_xid = '\(transaction.transactionID)'::xid8::xid and wait_event is distinct from 'SyncRep'
            """)
    }
}
