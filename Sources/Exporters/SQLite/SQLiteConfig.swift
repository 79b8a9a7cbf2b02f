import Configuration

/// `exporters.sqlite`: the embedded store, a single file.
public struct SQLiteConfig: Sendable, Equatable {
    /// The database file; it and its directory are made when missing. Relative to the working directory.
    public var path = "./data/telemetry.db"
    /// Spans that started longer ago are deleted; nil keeps them for ever.
    public var retention: Duration?
    /// The file is kept below this by deleting the oldest spans; nil for no bound. The write-ahead log beside it adds up to
    /// `SQLiteLimits.journalBytes`, more while somebody else reads for long.
    public var maxSizeMiB: Int?

    /// Memory that the writer holds besides the batches: SQLite's page cache.
    public var bufferBytes: Int { SQLiteLimits.cacheKiB << 10 }

    public init() {}

    public init(path: String) {
        self.path = path
    }

    public init(from section: ConfigSection) {
        path = section.string("path", default: path)
        // SQLite takes both for a database in memory, which nobody could query.
        if path.isEmpty || path == ":memory:" { section.problem("must name a file", at: "path") }
        retention = section.duration("retention")
        if retention == .zero { retention = nil }
        if let retention, retention < SQLiteLimits.retentionMin {
            section.problem("must be at least 1m, or 0 to keep spans for ever", at: "retention")
        }
        maxSizeMiB = section.int("max_size_mib", in: SQLiteLimits.maxSizeMiBMin...SQLiteLimits.maxSizeMiBMax)
        section.finish()
    }
}

/// Bounds of this exporter that no key sets.
enum SQLiteLimits {
    /// Spans that make a transaction at once, and how long they are collected. A commit costs one `fsync`, so at most five a
    /// second under load; the first spans after a quiet time are there after `quietTimeout`.
    static let batchRows = 5_000
    static let batchRowsMax = 10_000
    static let batchTimeout = Duration.milliseconds(200)
    static let batchQuietTimeout = Duration.milliseconds(10)

    /// How long one attempt waits for another process's write lock, milliseconds.
    static let busyTimeoutMilliseconds: Int32 = 2_000
    /// Page cache, KiB: the upper levels of the indexes of some million spans.
    static let cacheKiB = 16 * 1_024
    /// Rows of about 1 KB and random trace ids: with pages of 4 KiB a span costs 40 % more CPU, with 8 KiB 15 %. A commit writes
    /// about six pages, so still larger ones would wear a laptop's disk for single spans.
    static let pageBytes = 16_384
    /// Pages in the write-ahead log that make SQLite move them into the database; rewritten index pages are moved once.
    static let checkpointPages = 2_000
    /// What the write-ahead log's file is cut down to once its content is in the database.
    static let journalBytes = 32 * 1_024 * 1_024

    static let retentionMin = Duration.seconds(60)
    static let maxSizeMiBMin = 2
    static let maxSizeMiBMax = 1_024 * 1_024
    /// Part of `max_size_mib` that spans may fill: the rest takes what one batch adds before the oldest are deleted.
    static let fillFraction = 0.9
    /// How often old spans are looked for.
    static let maintenanceInterval = Duration.seconds(30)
    /// Spans deleted and pages given back per transaction, so that a batch never waits long for them.
    static let deleteRows = 2_000
    static let vacuumPages = 1_000

    /// Resource ids remembered as written; when it is full it starts over.
    static let knownResourcesMax = 10_000
    /// Memory for one row's texts that is kept from row to row.
    static let textKeptBytes = 1_024 * 1_024

    /// A local file is there or will be again: short waits, and nothing is ever given up while the process runs.
    static let retryInitial = Duration.milliseconds(200)
    static let retryMax = Duration.seconds(5)
}
