import Pipeline
import Synchronization

/// Keeps a COMMIT of an earlier process from taking effect after this one has looked which of a batch's rows are there.
///
/// A process that was killed may leave a backend behind that has all of a COPY and its COMMIT still to read, or waits in COMMIT. So each
/// transaction that writes rows takes a shared advisory lock named after the log, before the server asks for rows; the client waits for
/// that answer, so no rows can be sent ahead of the lock. Before its own first transaction a process takes the lock exclusively once:
/// then no transaction of an earlier process is open, and none can come, since the log's directory is locked by this process.
///
/// The lock does not name the run: a run that could not write to its log leaves no trace of its number, and the next one has the same.
///
/// Locks are of transactions: they work through PgBouncer in transaction mode, and need no privileges.
enum CommitBarrier {
    /// Of a process without the write-ahead log: nothing of it is ever replayed.
    static let processIdentity = LogIdentity(id: .random(in: .min ... .max), run: 0)

    /// SQLSTATE of a lock that was waited for in vain.
    private static let lockNotAvailable = "55P03"

    /// A log that is open in this process, and a database in which no earlier process writes for it any more.
    private struct Passage: Hashable {
        let log: UInt64
        let run: UInt64
        let destination: String
    }

    /// Of the whole process: an exporter that replaces another one must not wait for its transactions.
    private static let gates = Mutex<[Passage: PassageGate]>([:])

    /// The advisory lock of a log: 64 bits of a mix, so that others' locks are not met.
    static func key(_ log: LogIdentity) -> Int64 {
        var mix = log.id &+ 0x9E37_79B9_7F4A_7C15
        mix = (mix ^ (mix >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mix = (mix ^ (mix >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int64(bitPattern: mix ^ (mix >> 31))
    }

    /// To be called before each transaction that writes rows of this batch. The first time for a log and a destination, it waits until no
    /// earlier process can commit any more; other writers to the same destination wait meanwhile, those to others do not.
    static func pass(_ batch: SpanBatch, to destination: String, on connection: Connection) throws(DatabaseError) {
        let log = batch.run
        guard log != processIdentity else { return }
        let passage = Passage(log: log.id, run: log.run, destination: destination)
        let gate = gates.withLock { gates in
            let gate = gates[passage] ?? PassageGate()
            gates[passage] = gate
            return gate
        }
        guard try gate.begin(connection) else { return }
        do throws(DatabaseError) {
            try passEarlier(key(log), on: connection)
        } catch {
            gate.end(isOpen: false)
            throw error
        }
        gate.end(isOpen: true)
    }

    /// Waits until no transaction of this process that is in doubt is open any more. It may be of any moment, so the lock is waited for
    /// each time; who holds it is alive.
    static func passOwn(_ batch: SpanBatch, on connection: Connection) throws(DatabaseError) {
        // Without the log: handed over by an exporter of this process that was replaced.
        let isOwn = batch.slices.contains { slice in slice.hold.map { $0.isReplayed && $0.run == $0.log.run } ?? batch.isReplayed }
        if isOwn { try lock(key(batch.run), TimescaleDBLimits.lockTimeoutMilliseconds, on: connection) }
    }

    private static func passEarlier(_ key: Int64, on connection: Connection) throws(DatabaseError) {
        do throws(DatabaseError) {
            try lock(key, TimescaleDBLimits.barrierWaitMilliseconds, on: connection)
        } catch {
            guard error.sqlState == Self.lockNotAvailable, connection.isUsable else { throw error }
            try connection.query("rollback")
            try endHolders(of: key, on: connection)
            try lock(key, TimescaleDBLimits.barrierWaitMilliseconds, on: connection)
        }
    }

    private static func lock(_ key: Int64, _ milliseconds: Int, on connection: Connection) throws(DatabaseError) {
        try connection.query("begin; set local lock_timeout = \(milliseconds); select pg_advisory_xact_lock(\(key)); commit")
    }

    /// Ends backends that hold on to the lock: their client is gone, or on its way out. Not those that wait for a synchronous standby,
    /// which would lose the guarantee they wait for.
    private static func endHolders(of key: Int64, on connection: Connection) throws(DatabaseError) {
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

/// Lets one writer look, and all others wait for what it finds.
private final class PassageGate: Sendable {
    private enum State { case closed, looking, open }

    /// How often a waiting writer sees whether its time is over.
    private static let pollInterval = Duration.milliseconds(100)

    private let lock = ConditionLock()
    private let state = Mutex(State.closed)

    /// True: the caller must look, and call `end`. False: the gate is open.
    func begin(_ connection: Connection) throws(DatabaseError) -> Bool {
        while true {
            let found = state.withLock { state in
                defer { if state == .closed { state = .looking } }
                return state
            }
            switch found {
            case .open: return false
            case .closed: return true
            case .looking:
                if connection.isInterrupted { throw .interrupted }
                lock.withLock { _ = lock.wait(until: .now + Self.pollInterval) }
            }
        }
    }

    func end(isOpen: Bool) {
        state.withLock { $0 = isOpen ? .open : .closed }
        lock.withLock { lock.broadcast() }
    }
}

extension SpanBatch {
    /// The log that this batch comes from, and the run that writes it.
    var run: LogIdentity { slices.lazy.compactMap(\.hold?.log).first ?? CommitBarrier.processIdentity }
}
