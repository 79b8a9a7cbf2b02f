/// Bounds and time limits of the `timescaledb` exporter.
enum TimescaleDBLimits {
    /// Connections per instance: a database serves hundreds at most, and one COPY stream uses a core of it.
    static let consumersMax = 20
    /// Rows per COPY. Above some 50,000 nothing is gained and a retry costs more.
    static let batchRowsMax = 100_000
    /// COPY bytes that are collected before libpq gets them: fits the second-level cache, and system calls no longer count.
    static let copyChunkBytes = 32 * 1024
    /// Bytes per call of libpq, which counts them in 32 bits and copies them.
    static let copyPieceBytesMax = 16 * 1024 * 1024
    /// Memory of a writer's row buffer that is kept after a batch.
    static let copyBufferKeptBytes = 1024 * 1024
    /// Oldest server that the contract names, as libpq counts versions.
    static let serverVersionMin: Int32 = 150_000
    /// Ids of resources known to be in the database, 8 bytes each in a set: about 1.5 MiB.
    static let knownResourcesMax = 65_536
    /// Resources per INSERT.
    static let resourcesPerInsertMax = 100
    /// How long a writer waits for a lock, say behind somebody's ALTER TABLE, before it says so and tries again.
    static let lockTimeoutMilliseconds = 30_000
    /// How long a batch waits for the schema at start before it goes back to be retried.
    static let schemaWait = Duration.seconds(5)
    /// How soon a failed migration is tried again.
    static let migrationRetryFirst = Duration.seconds(1)
    static let migrationRetryMax = Duration.seconds(30)
    /// Polls of a transaction that was lost in COMMIT and is still in progress: first and longest pause, and all together.
    static let doubtPollFirst = Duration.milliseconds(20)
    static let doubtPollMax = Duration.milliseconds(500)
    static let doubtWaitMax = Duration.seconds(10)
    /// A backend that hangs on to such a transaction for this long is ended: its client, this process, is gone.
    static let doubtTerminateAfter = Duration.seconds(5)
    /// How long the transactions of an earlier run may keep a replayed batch waiting before their backends are ended.
    static let barrierWaitMilliseconds = 5_000
    /// Continuous aggregates are refreshed for late rows no more often than this.
    static let refreshInterval = Duration.seconds(60)
    /// A schema name; PostgreSQL cuts longer ones.
    static let identifierBytesMax = 63
    /// Characters of a server's message that go into logs.
    static let messageCharactersMax = 300
}
