/// What the threads that use the log share; guarded by its lock.
struct LogState {
    enum Phase {
        case idle
        /// Not usable yet: the directory is being read, or cannot be.
        case opening
        case open
        /// What was appended before `close` is still written.
        case closing
        case ended
    }

    enum Writing: Equatable {
        case ready
        /// No room for a segment before one is deleted.
        case full
        /// The last attempt failed.
        case failing
    }

    typealias Completion = @Sendable (AppendOutcome) -> Void

    var phase = Phase.idle
    var writing = Writing.failing
    /// Why the directory cannot be used, or written; for health.
    var openTrouble: String?
    var writeTrouble: String?
    var setAsideCount = 0
    var setAsideBytes = 0
    /// Of files that are to be removed and could not be yet.
    var leftoverBytes = 0
    var identity = LogIdentity(id: 0, run: 0)
    var fingerprintSeed: UInt64 = 0
    var nextSequence: UInt64 = 1

    /// Waiting for the log's thread, in order of arrival.
    var pending: [PendingAppend] = []
    /// Repeats of the requests that are being written, by fingerprint: they share the first one's fate.
    var inFlight: [Fingerprint: [Completion]] = [:]
    var fingerprints: FingerprintTable
    /// Oldest first; the last one is appended to unless it is sealed.
    var segments: [SegmentLedger] = []
    /// Requests refused although their bytes may be in one of the segments.
    var aborted: [Range<UInt64>] = []
    /// Per reader: a record before its cursor that was given back.
    var rewinds: [UInt64?]
    /// What stages of former runs have written down and nobody has asked for yet, by topic.
    var notes: [String: [[UInt8]]] = [:]
    /// Releases that are not written yet.
    var hasDirtyReleases = false
    /// The oldest segment has no unreleased records and is sealed.
    var hasRemovable = false
    var whenOpen: [@Sendable () -> Void] = []
    /// The log's thread waits for a signal.
    var isThreadWaiting = false

    init(readerCount: Int, fingerprints: FingerprintTable) {
        self.fingerprints = fingerprints
        rewinds = Array(repeating: nil, count: readerCount)
    }

    var allocatedBytes: Int { segments.reduce(setAsideBytes + leftoverBytes) { $0 + $1.allocatedBytes } }

    /// Index of the segment that holds the record.
    func segmentIndex(of sequence: UInt64) -> Int? {
        // Nearly always the last one or, under load, one before it.
        var low = 0
        var high = segments.count
        if let last = segments.last, sequence >= last.firstSequence { low = segments.count - 1 }
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].firstSequence <= sequence { low = middle + 1 } else { high = middle }
        }
        guard low > 0, segments[low - 1].contains(sequence) else { return nil }
        return low - 1
    }

    /// Takes note of a record that its reader is done with.
    mutating func release(_ sequence: UInt64, reader: Int) {
        guard let index = segmentIndex(of: sequence) else { return }
        segments[index].release(Int(sequence - segments[index].firstSequence), reader: reader)
        hasDirtyReleases = true
        noteRemovable()
    }

    /// Takes note of requests that were refused although their bytes may be in a file, and burns their numbers.
    ///
    /// - Parameter count: 0 when there were none; a number is burnt all the same, so that no file's name is used twice.
    mutating func abort(_ count: Int) {
        let range = nextSequence..<nextSequence + UInt64(max(count, 1))
        nextSequence = range.upperBound
        guard count > 0 else { return }
        // A disk that goes on failing makes one range, not one for each attempt.
        if let last = aborted.last, last.upperBound == range.lowerBound {
            aborted[aborted.count - 1] = last.lowerBound..<range.upperBound
        } else {
            aborted.append(range)
        }
    }

    /// Whether the oldest segment can go. Called after a release and after a segment is sealed.
    mutating func noteRemovable() {
        guard let first = segments.first, first.isSealed, first.isReleased else { return }
        hasRemovable = true
    }
}
