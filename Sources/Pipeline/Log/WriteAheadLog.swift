import Dispatch
import Logging
import OTLPWire
import SelfTelemetry
import Synchronization

/// The write-ahead log: requests are in it before they are answered, and stay until every pipeline is done with them. It is also the
/// pipelines' queue: what they cannot take now they read from it later, in this run or the next.
///
/// Invariants
/// - A request is answered `durable` only when its record, its segment's header and the segment's name are on disk (`sync: always`).
/// - A record is handed to each reader (pipeline) once per run: `take` and `next` decide under one lock who has it.
/// - A record is deleted only after all readers have released it, with its whole segment, and segments only from the oldest on.
/// - Each segment begins with the fingerprints of everything accepted within the window before it, so that deleting older segments
///   forgets no request. A repeat is recognised for at least the window, also after a restart.
/// - After a failed write or sync nothing is written to that segment again: which of its pages are on disk is unknown then. The group's
///   requests are refused; before another request is accepted, the next segment says durably that they are not to be replayed and not to
///   be recognised, whatever of them the disk has kept.
/// - All segments together never take more than `maxSizeBytes`; room is reserved when a segment is made, never in the middle of one.
///   Releasing needs no disk space, so a full log always empties.
///
/// Format: `LogFormat` (segments), `RecordHeader` (records), `LogControlRecords.swift` (release, fingerprint and abort records). Every
/// header and body has a CRC-32C; a header's covers a random number of its segment and its own offset, so that no payload can pass for a
/// record. A file of a newer format makes the log unavailable and is not touched.
///
/// Recovery (`LogRecovery`): segments in order of their names, records in order of their place. Where a record does not hold, the next
/// one is looked for by its marker; what lies between is skipped and counted. What follows the last record of the last segment is a
/// group that the crash cut off: none of it was answered. Requests that are not released are replayed; their holds say `isReplayed`,
/// since the former run may have stored them. Each run writes to segments of its own. No content of the directory prevents the start.
///
/// Cost: the caller computes checksum and fingerprint; one thread writes all waiting requests with one pwritev(2) out of the callers'
/// buffers and one fdatasync(2). In memory a record takes two bits per reader and an eighth of a byte; offsets are not kept.
public final class WriteAheadLog: @unchecked Sendable {
    let settings: WriteAheadLogSettings
    let readers: [String]
    let files: any LogFiles
    let timing: LogTiming
    let clock: LogClock
    let metrics: LogMetrics
    let logger: Logger
    let lock = ConditionLock()
    /// Guarded by `lock`.
    var state: LogState
    /// `LogGate.rawValue`, so that asking takes no lock.
    let gate = Atomic<UInt8>(LogGate.unavailable.rawValue)
    /// Of the open log; set before the gate opens.
    let fingerprintSeed = Atomic<UInt64>(0)
    let thread = DispatchGroup()

    /// - Parameter readers: the pipelines' ids; a reader's number is its index.
    public convenience init(settings: WriteAheadLogSettings, readers: [String], registry: MetricRegistry, logger: Logger) {
        self.init(settings: settings, readers: readers, registry: registry, logger: logger, files: POSIXLogFiles())
    }

    init(
        settings: WriteAheadLogSettings, readers: [String], registry: MetricRegistry, logger: Logger, files: any LogFiles,
        timing: LogTiming = LogTiming(), clock: LogClock = .system
    ) {
        self.settings = settings
        self.readers = readers
        self.files = files
        self.timing = timing
        self.clock = clock
        self.logger = logger
        metrics = LogMetrics(registry: registry, logger: logger)
        // Each segment has room for all of them.
        let fingerprintBytes = min(settings.dedupBytesMax, settings.segmentBytes / LogLimits.fingerprintFraction)
        state = LogState(
            readerCount: readers.count, fingerprints: FingerprintTable(window: settings.dedupWindow, bytesMax: fingerprintBytes))
        LogMetrics.observe(self, in: registry)
    }

    func withState<Result>(_ body: (LogState) -> Result) -> Result { lock.withLock { body(state) } }

    /// Starts the log's thread, which opens the directory. Trouble is in `health`, requests are refused meanwhile, and it is tried again
    /// every second.
    public func open() {
        let isFirst = lock.withLock {
            guard state.phase == .idle else { return false }
            state.phase = .opening
            return true
        }
        guard isFirst else { return }
        // A queue of its own is a thread of its own as long as the loop runs.
        DispatchQueue(label: "write-ahead-log").async(group: thread) { LogThread(self).run() }
    }

    /// Writes what was appended, the releases so far, and gives the directory free. Nothing is released afterwards.
    ///
    /// - Parameter deadline: returns then at the latest, also when the disk does not answer.
    public func close(deadline: ContinuousClock.Instant) async {
        let wasOpened = lock.withLock {
            defer {
                state.phase = state.phase == .idle || state.phase == .ended ? .ended : .closing
                publishGate()
                lock.broadcast()
            }
            return state.phase != .idle
        }
        guard wasOpened else { return }
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let first = OneShot()
            thread.notify(queue: .global()) { if first.claim() { done.resume() } }
            let milliseconds = Int(min(max(.zero, deadline - .now) / .milliseconds(1), 1e9))
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { if first.claim() { done.resume() } }
        }
    }

    /// Called once, when the log's content is known; at once if it is.
    public func whenOpen(_ body: @escaping @Sendable () -> Void) {
        let isOpen = lock.withLock {
            if state.phase == .open { return true }
            state.whenOpen.append(body)
            return false
        }
        if isOpen { body() }
    }

    /// All zero before the log is open.
    public var identity: LogIdentity { lock.withLock { state.identity } }

    /// Records of former runs that the reader has not released: to be read with `next`. Known once the log is open.
    public func hasBacklog(reader: Int) -> Bool {
        lock.withLock { state.segments.contains { $0.run != state.identity.run && $0.unreleasedCount(reader: reader) > 0 } }
    }

    public var health: ComponentHealth {
        lock.withLock {
            switch state.phase {
            case .idle, .ended: return .degraded("the write-ahead log is not open")
            case .opening: return .degraded(state.openTrouble ?? "the write-ahead log is being read")
            case .open, .closing: break
            }
            switch state.writing {
            case .failing: return .degraded(state.writeTrouble ?? "the write-ahead log cannot be written")
            case .full: return .degraded("the write-ahead log is full: requests are refused until exporters catch up")
            case .ready: break
            }
            if let trouble = state.writeTrouble { return .degraded(trouble) }
            guard state.setAsideCount > 0 else { return .ok }
            return .degraded("\(state.setAsideCount) segment files of the write-ahead log cannot be read and were left alone")
        }
    }

    /// What `append` would most likely say now.
    public var admission: Outcome {
        guard let refusal = currentRefusal else { return .accepted }
        return .retryable(refusal, after: nil)
    }
}

/// What the log says to a request that asks for admission.
enum LogGate: UInt8 {
    case unavailable
    case ready
    case full
    case shuttingDown

    var refusal: Refusal? {
        switch self {
        case .ready: nil
        case .unavailable: .logUnavailable
        case .full: .logFull
        case .shuttingDown: .shuttingDown
        }
    }
}

/// Lets one of several callers through.
private final class OneShot: Sendable {
    private let isClaimed = Atomic<Bool>(false)

    func claim() -> Bool { !isClaimed.exchange(true, ordering: .acquiringAndReleasing) }
}
