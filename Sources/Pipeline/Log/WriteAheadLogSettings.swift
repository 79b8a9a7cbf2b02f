/// How the write-ahead log works, as code passes it in; `service.write_ahead_log` is what the user writes.
public struct WriteAheadLogSettings: Sendable, Equatable {
    public enum Sync: Sendable, Equatable {
        /// A request is durable when fdatasync has returned: survives a power cut.
        case always
        /// A request is durable when it is written: survives the death of the process, and of the machine after this time.
        case interval(Duration)
    }

    public var directory: String
    /// All segments together, as allocated on disk; at least two segments.
    public var maxSizeBytes: Int
    public var segmentBytes: Int
    public var sync: Sync
    /// How long a repeated request is recognised, at least; zero turns recognition off.
    public var dedupWindow: Duration
    /// Memory for the fingerprints of that window. When it is too small for the load, the oldest are forgotten early.
    public var dedupBytesMax: Int

    public init(
        directory: String, maxSizeBytes: Int = 2048 << 20, segmentBytes: Int = 64 << 20, sync: Sync = .always,
        dedupWindow: Duration = .seconds(600), dedupBytesMax: Int = 16 << 20
    ) {
        self.directory = directory
        self.segmentBytes = max(segmentBytes, LogLimits.segmentBytesMin)
        self.maxSizeBytes = max(maxSizeBytes, 2 * self.segmentBytes)
        self.sync = sync
        self.dedupWindow = dedupWindow
        self.dedupBytesMax = dedupBytesMax
    }
}

/// Bounds of the log that no configuration key sets.
enum LogLimits {
    /// Smallest segment: both copies of the header take 16 KiB of it.
    static let segmentBytesMin = 64 << 10
    /// Requests of one group commit. Two buffers each and one more, below the kernel's 1,024 of one pwritev(2).
    static let groupRequestsMax = 500
    /// Bytes after which a group is closed, so that the first of it does not wait for a slow disk to take hundreds of megabytes.
    static let groupBytesMax = 16 << 20
    /// Requests that wait for the log's thread. Their bodies are in the memory budget; this bounds what the log itself holds for them.
    static let pendingRequestsMax = 65_536
    /// Bytes of a project's name in a record.
    static let projectBytesMax = 1_024
    /// Bytes of a request in a record: the length fits the header's 32 bits and the checksum's `int`.
    static let payloadBytesMax = 1 << 30
    /// Bytes of one release, fingerprint or abort record: bounds what recovery reads at once.
    static let controlBytesMax = 64 << 10
    /// Part of a segment that only release records use, so that releases are kept while the log is full: 1/32.
    static let releaseReserveFraction = 32
    /// Part of a segment that the fingerprints carried over from older ones may take: 1/4.
    static let fingerprintFraction = 4
    /// Records between two whose place in the file is kept in memory, for readers that start in the middle.
    static let waypointInterval = 64
    /// Buffer of a reader: large enough that small records are read hundreds at a time.
    static let readWindowBytes = 256 << 10
    /// Ranges of refused records kept until their segments are deleted. Each is one failed group commit; when a disk fails more often
    /// than that while nothing is deleted, the log waits for deletions.
    static let abortedRangesMax = 2_048
}

/// Times of the log's housekeeping.
struct LogTiming: Sendable {
    /// How often releases are written.
    var releaseInterval = Duration.seconds(1)
    /// How often a log that cannot be opened or written is tried again.
    var retryInterval = Duration.seconds(1)
}
