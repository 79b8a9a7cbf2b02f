/// Walks a segment from its first record to its last, over whatever damage there is in between.
struct SegmentScanner {
    enum Step {
        /// A record with a valid header; `isWhole` says whether its body is.
        case record(RecordHeader, offset: Int, isWhole: Bool)
        /// Bytes that belong to no record although records follow.
        case damage(Range<Int>)
    }

    private let reader: SegmentReader
    private let end: Int
    /// Sequence numbers of its requests are below this: the next segment's first.
    private let sequenceLimit: UInt64
    private var nextSequence: UInt64
    /// After the last record so far.
    private(set) var offset = LogFormat.recordsStart

    init(reader: SegmentReader, end: Int, sequenceLimit: UInt64) {
        self.reader = reader
        self.end = end
        self.sequenceLimit = sequenceLimit
        nextSequence = reader.firstSequence
    }

    /// Nil when no record follows.
    mutating func next() throws(LogFileError) -> Step? {
        if let header = try reader.record(at: offset, end: end), isPlausible(header, at: offset) {
            let start = offset
            offset += header.totalBytes
            if header.kind == RecordHeader.Kind.request.rawValue { nextSequence = header.sequence + 1 }
            return .record(header, offset: start, isWhole: try reader.bodyIsWhole(header, at: start))
        }
        var candidate = offset + LogFormat.alignment
        while let found = try reader.nextRecord(from: candidate, end: end) {
            if let header = try reader.record(at: found, end: end), isPlausible(header, at: found) {
                defer { offset = found }
                return .damage(offset..<found)
            }
            candidate = found + LogFormat.alignment
        }
        return nil
    }

    /// Whether bytes other than zeros follow the last record.
    func hasTail() throws(LogFileError) -> Bool { try reader.firstNonZero(from: offset, end: end) != nil }

    /// Requests ascend, and no more of them come before a place than fit there.
    private func isPlausible(_ header: RecordHeader, at offset: Int) -> Bool {
        guard header.kind == RecordHeader.Kind.request.rawValue else { return true }
        return header.sequence >= nextSequence && header.sequence < sequenceLimit
            && header.sequence - reader.firstSequence <= UInt64(offset / RecordHeader.bytes)
    }
}
