/// What is known in memory about one segment: which of its records each reader has taken and released. Pure.
///
/// A record has two bits for each reader: `taken` (handed to that pipeline) and `released` (the pipeline is done with it). A record
/// that is not to be read (damaged, refused after all) has both for all readers.
struct SegmentLedger {
    struct Reader {
        var taken = RecordBits()
        var released = RecordBits()
        var releasedCount = 0
        /// Words of `released` that are not written to the log.
        var dirtyWords: Range<Int>?
    }

    let name: String
    let firstSequence: UInt64
    /// The run that appended the records.
    let run: UInt64
    let nonce: UInt64
    /// Sequence numbers in it, from `firstSequence` on; only those of durable or dead records.
    private(set) var count = 0
    /// Of those, the ones that nobody will read.
    private(set) var deadCount = 0
    private(set) var readers: [Reader]
    /// Offsets of every 64th record, as far as known: index i is the place of record i * `LogLimits.waypointInterval` or an earlier one.
    private(set) var waypoints: [Int] = []
    /// Bytes from the start of the file that hold durable records.
    var endOffset = LogFormat.recordsStart
    /// On disk.
    var allocatedBytes: Int
    /// No more records are appended to it.
    var isSealed = false

    init(name: String, header: SegmentHeader, readerCount: Int, allocatedBytes: Int) {
        self.name = name
        firstSequence = header.firstSequence
        run = header.run
        nonce = header.nonce
        self.allocatedBytes = allocatedBytes
        readers = Array(repeating: Reader(), count: readerCount)
    }

    var endSequence: UInt64 { firstSequence + UInt64(count) }

    func contains(_ sequence: UInt64) -> Bool { sequence >= firstSequence && sequence < endSequence }

    /// Takes note of the next record.
    mutating func append(offset: Int) {
        if count % LogLimits.waypointInterval == 0 { waypoints.append(offset) }
        count += 1
    }

    /// Takes note of records that nobody will read.
    ///
    /// - Parameter offset: of a record before them, or their own.
    mutating func appendDead(_ number: Int, offset: Int, isPersistent: Bool) {
        for _ in 0..<number {
            let index = count
            append(offset: offset)
            bury(index, isPersistent: isPersistent)
        }
    }

    private mutating func bury(_ index: Int, isPersistent: Bool) {
        deadCount += 1
        for reader in readers.indices {
            readers[reader].taken.insert(index)
            release(index, reader: reader, isPersistent: isPersistent)
        }
    }

    /// False when the reader has it already, or it is dead.
    mutating func take(_ index: Int, reader: Int) -> Bool { readers[reader].taken.insert(index) }

    mutating func giveBack(_ index: Int, reader: Int) {
        if !readers[reader].released.contains(index) { readers[reader].taken.remove(index) }
    }

    func firstUntaken(from index: Int, reader: Int) -> Int? {
        readers[reader].taken.firstMissing(from: index, below: count)
    }

    /// - Parameter isPersistent: the log's files say so already.
    mutating func release(_ index: Int, reader: Int, isPersistent: Bool = false) {
        guard readers[reader].released.insert(index) else { return }
        readers[reader].releasedCount += 1
        if isPersistent { return }
        let word = index >> 6
        let dirty = readers[reader].dirtyWords ?? word..<word + 1
        readers[reader].dirtyWords = min(dirty.lowerBound, word)..<max(dirty.upperBound, word + 1)
    }

    /// Sets what recovery has found out.
    mutating func restore(released: RecordBits, reader: Int) {
        for index in 0..<count where released.contains(index) {
            readers[reader].taken.insert(index)
            release(index, reader: reader, isPersistent: true)
        }
    }

    func unreleasedCount(reader: Int) -> Int { count - readers[reader].releasedCount }

    var isReleased: Bool { readers.allSatisfy { $0.releasedCount == count } }

    var hasDirtyReleases: Bool { readers.contains { $0.dirtyWords != nil } }

    /// The place from which a search for the record begins.
    func waypoint(for index: Int) -> (offset: Int, index: Int) {
        let point = min(index / LogLimits.waypointInterval, waypoints.count - 1)
        guard point >= 0 else { return (LogFormat.recordsStart, 0) }
        return (waypoints[point], point * LogLimits.waypointInterval)
    }

    /// Unwritten releases as an entry of at most `wordsMax` words, which then count as written.
    mutating func takeDirtyReleases(reader: Int, name: String, wordsMax: Int) -> ReleaseEntry? {
        guard wordsMax > 0, let dirty = readers[reader].dirtyWords else { return nil }
        let end = min(dirty.upperBound, dirty.lowerBound + wordsMax)
        readers[reader].dirtyWords = end < dirty.upperBound ? end..<dirty.upperBound : nil
        return ReleaseEntry(
            reader: name, segment: firstSequence, firstWord: UInt32(dirty.lowerBound),
            words: Array(readers[reader].released.words[dirty.lowerBound..<end]))
    }

    /// The entry could not be written.
    mutating func markDirty(_ entry: ReleaseEntry, reader: Int) {
        let words = Int(entry.firstWord)..<Int(entry.firstWord) + entry.words.count
        let dirty = readers[reader].dirtyWords ?? words
        readers[reader].dirtyWords = min(dirty.lowerBound, words.lowerBound)..<max(dirty.upperBound, words.upperBound)
    }
}
