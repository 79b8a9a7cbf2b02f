import Pipeline
import Synchronization

/// Keeps a COMMIT of an earlier run from taking effect after this run has looked which of a batch's rows are there.
///
/// A process that was killed may leave a backend behind that has all of a COPY and its COMMIT still to read, or waits in COMMIT. So each
/// transaction that writes rows takes a shared advisory lock named after the log and its run, before the server asks for rows; the
/// client waits for that answer, so no rows can be sent ahead of the lock. Who finds a record of an earlier run takes that run's lock
/// exclusively once: after that no transaction of that run is open, and none can come, since the log directory is ours.
///
/// Locks are of transactions: they work through PgBouncer in transaction mode, and need no privileges.
final class CommitBarrier: Sendable {
    /// Of a process without the write-ahead log: nothing of it is ever replayed.
    static let processIdentity = LogIdentity(id: .random(in: .min ... .max), run: 0)

    /// SQLSTATE of a lock that was waited for in vain.
    private static let lockNotAvailable = "55P03"

    /// Keys of earlier runs that were passed.
    private let passed = Mutex<Set<Int64>>([])

    /// The advisory lock of a run: 64 bits of a mix, so that others' locks are not met.
    static func key(_ identity: LogIdentity) -> Int64 {
        var mix = identity.id &+ (identity.run &+ 1) &* 0x9E37_79B9_7F4A_7C15
        mix = (mix ^ (mix >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mix = (mix ^ (mix >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int64(bitPattern: mix ^ (mix >> 31))
    }

    /// Waits until no transaction can commit any more that wrote rows of this batch earlier.
    func pass(_ batch: SpanBatch, on connection: Connection) throws(DatabaseError) {
        var earlier: Set<Int64> = []
        var isOwn = false
        for slice in batch.slices {
            guard let hold = slice.hold else {
                // Without the log: handed over by an exporter of this process that was replaced.
                isOwn = isOwn || batch.isReplayed
                continue
            }
            guard hold.isReplayed else { continue }
            let key = Self.key(LogIdentity(id: hold.log.id, run: hold.run))
            if hold.run == hold.log.run { isOwn = true } else if !passed.withLock({ $0.contains(key) }) { earlier.insert(key) }
        }
        // An attempt of this run that is in doubt may be of any moment, so its lock is waited for each time; who holds it is alive.
        if isOwn { try lock(Self.key(batch.run), TimescaleDBLimits.lockTimeoutMilliseconds, on: connection) }
        for key in earlier.sorted() { try passEarlier(key, on: connection) }
    }

    private func passEarlier(_ key: Int64, on connection: Connection) throws(DatabaseError) {
        do throws(DatabaseError) {
            try lock(key, TimescaleDBLimits.barrierWaitMilliseconds, on: connection)
        } catch {
            guard error.sqlState == Self.lockNotAvailable, connection.isUsable else { throw error }
            try connection.query("rollback")
            try endHolders(of: key, on: connection)
            try lock(key, TimescaleDBLimits.barrierWaitMilliseconds, on: connection)
        }
        passed.withLock { _ = $0.insert(key) }
    }

    private func lock(_ key: Int64, _ milliseconds: Int, on connection: Connection) throws(DatabaseError) {
        try connection.query("begin; set local lock_timeout = \(milliseconds); select pg_advisory_xact_lock(\(key)); commit")
    }

    /// Ends backends that hold on to the lock: their client is gone, or on its way out. Not those that wait for a synchronous standby,
    /// which would lose the guarantee they wait for.
    private func endHolders(of key: Int64, on connection: Connection) throws(DatabaseError) {
        let word = UInt64(bitPattern: key)
        try connection.query(
            """
            select pg_terminate_backend(l.pid) from pg_locks l left join pg_stat_activity a on a.pid = l.pid \
            where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database()) \
            and l.classid = \(word >> 32)::oid and l.objid = \(word & 0xFFFF_FFFF)::oid and l.objsubid = 1 \
            and l.granted and l.pid <> pg_backend_pid() and a.wait_event is distinct from 'SyncRep'
            """)
    }
}

extension SpanBatch {
    /// The run that writes this batch.
    var run: LogIdentity { slices.lazy.compactMap(\.hold?.log).first ?? CommitBarrier.processIdentity }
}
