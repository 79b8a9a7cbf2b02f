import Glibc

/// What `collector wal inspect` and `verify` see of a log directory. Reads only, so it may look at a log that is being written; what
/// changes meanwhile may be missing.
public struct LogInspection: Sendable {
    public struct Record: Sendable {
        /// `request`, `note`, `releases`, `fingerprints`, `aborted`, or `kind N`.
        public let kind: String
        public let offset: Int
        /// In the file, with header and padding.
        public let bytes: Int
        public let sequence: UInt64
        public let payloadBytes: Int
        public let receivedUnixNano: UInt64
        /// Header and body are as they were written.
        public let isWhole: Bool
    }

    public struct Segment: Sendable {
        public let name: String
        public let fileBytes: Int
        public let run: UInt64
        public let firstSequence: UInt64
        public let createdUnixNano: UInt64
        /// Pipelines its records are for, with the number of those that are released.
        public internal(set) var readers: [(name: String, releasedRequests: Int)]
        public internal(set) var requestCount = 0
        /// What stages have written down for the next run.
        public internal(set) var noteCount = 0
        /// Places of the notes among its sequence numbers: releases name them too.
        fileprivate var notes = RecordBits()
        public internal(set) var records: [Record] = []
        /// Places that hold no record although others follow.
        public internal(set) var damagedRanges: [Range<Int>] = []
        /// Records whose body is damaged.
        public internal(set) var damagedRecords: [Record] = []
        /// After the last record.
        public internal(set) var endOffset = LogFormat.recordsStart
        /// What follows the last record is not zeros: a group being written, or cut off by a crash.
        public internal(set) var hasTail = false
        public internal(set) var isLast = false

        /// At the end of the log an incomplete record is no damage: it was not acknowledged.
        public var isDamaged: Bool {
            let isTorn = isLast && damagedRecords.count == 1 && damagedRecords.last.map { $0.offset + $0.bytes >= endOffset } == true
            return !damagedRanges.isEmpty || !damagedRecords.isEmpty && !isTorn || hasTail && !isLast
        }
    }

    /// Random number of the directory.
    public internal(set) var directoryID: UInt64 = 0
    public internal(set) var segments: [Segment] = []
    /// Files with a segment's name that are none, with the reason.
    public internal(set) var unreadable: [(name: String, reason: String)] = []

    public var isDamaged: Bool { !unreadable.isEmpty || segments.contains(where: \.isDamaged) }

    /// - Parameter keepsRecords: lists each record in `Segment.records`.
    /// - Returns: nil when the directory cannot be read.
    public static func read(directory: String, keepsRecords: Bool) -> LogInspection? {
        let files = POSIXLogFiles()
        guard let names = try? files.list(directory) else { return nil }
        var inspection = LogInspection()
        var released: [UInt64: [String: RecordBits]] = [:]
        let segments = names.filter { LogFormat.firstSequence(ofFile: $0) != nil }.sorted()
        for (index, name) in segments.enumerated() {
            let limit = index + 1 < segments.count ? LogFormat.firstSequence(ofFile: segments[index + 1]) : nil
            do {
                let segment = try inspection.segment(directory, name, files, sequenceLimit: limit, keepsRecords, &released)
                if let segment { inspection.segments.append(segment) }
            } catch {
                // Deleted since the listing: a log that is in use.
                if error.code != ENOENT { inspection.unreadable.append((name, "\(error)")) }
            }
        }
        for index in inspection.segments.indices {
            let bits = released[inspection.segments[index].firstSequence] ?? [:]
            let notes = inspection.segments[index].notes
            for reader in inspection.segments[index].readers.indices {
                let name = inspection.segments[index].readers[reader].name
                inspection.segments[index].readers[reader].releasedRequests =
                    bits[name].map { $0.subtracting(notes).count(below: .max) } ?? 0
            }
        }
        return inspection
    }

    private mutating func segment(
        _ directory: String, _ name: String, _ files: POSIXLogFiles, sequenceLimit: UInt64?, _ keepsRecords: Bool,
        _ released: inout [UInt64: [String: RecordBits]]
    ) throws(LogFileError) -> Segment? {
        let file = try files.open(directory + "/" + name, forWriting: false)
        defer { files.close(file) }
        let bytes = try files.size(file)
        let header: SegmentHeader
        switch try SegmentReader.header(of: file, files: files) {
        case .success(let read): header = read
        case .failure(.newerVersion):
            unreadable.append((name, "written by a newer version"))
            return nil
        case .failure(.damaged):
            // The last one may be in the making.
            if sequenceLimit != nil { unreadable.append((name, "no valid header")) }
            return nil
        }
        directoryID = header.directoryID
        var segment = Segment(
            name: name, fileBytes: bytes, run: header.run, firstSequence: header.firstSequence, createdUnixNano: header.createdUnixNano,
            readers: header.readers.map { ($0, 0) })
        segment.isLast = sequenceLimit == nil
        let made = SegmentReader(file: file, files: files, firstSequence: header.firstSequence, nonce: header.nonce, ownsFile: false)
        guard let reader = made else { throw LogFileError(ENOMEM, "malloc") }
        var scanner = SegmentScanner(reader: reader, end: bytes, sequenceLimit: sequenceLimit ?? .max)
        while let step = try scanner.next() {
            switch step {
            case .damage(let range): segment.damagedRanges.append(range)
            case .record(let header, let offset, let isWhole):
                let record = Record(header, offset: offset, isWhole: isWhole)
                if keepsRecords { segment.records.append(record) }
                if !isWhole { segment.damagedRecords.append(record) }
                if header.kind == RecordHeader.Kind.request.rawValue { segment.count(header, bytes: bytes) }
                if isWhole, header.kind == RecordHeader.Kind.releases.rawValue { try Self.note(header, offset, reader, &released) }
            }
        }
        segment.endOffset = scanner.offset
        segment.hasTail = try scanner.hasTail()
        return segment
    }

    private static func note(
        _ header: RecordHeader, _ offset: Int, _ reader: SegmentReader, _ released: inout [UInt64: [String: RecordBits]]
    ) throws(LogFileError) {
        guard header.bodyBytes <= LogLimits.controlBytesMax, let body = try reader.body(header, at: offset) else { return }
        for entry in ReleaseEntry.decode(UnsafeRawBufferPointer(body.bytes)) where Int(entry.firstWord) <= wordsMax {
            released[entry.segment, default: [:]][entry.reader, default: RecordBits()].formUnion(entry.words, atWord: Int(entry.firstWord))
        }
    }

    /// Words of a segment's bitmap: those of a 4 GiB segment of empty requests, in case a damaged entry asks for more.
    private static let wordsMax = 4 << 30 / RecordHeader.bytes / 64
}

extension LogInspection.Segment {
    fileprivate mutating func count(_ header: RecordHeader, bytes: Int) {
        guard header.signal == LogSignal.notes.rawValue else { return requestCount += 1 }
        noteCount += 1
        // No more records than fit into the file: bounds the memory that a damaged header can ask for.
        let place = header.sequence &- firstSequence
        if place < UInt64(bytes / RecordHeader.bytes) { notes.insert(Int(place)) }
    }
}

extension LogInspection.Record {
    fileprivate init(_ header: RecordHeader, offset: Int, isWhole: Bool) {
        switch RecordHeader.Kind(rawValue: header.kind) {
        case .request: kind = header.signal == LogSignal.notes.rawValue ? "note" : "request"
        case .releases: kind = "releases"
        case .fingerprints: kind = "fingerprints"
        case .aborted: kind = "aborted"
        case nil: kind = "kind \(header.kind)"
        }
        self.offset = offset
        bytes = header.totalBytes
        sequence = header.sequence
        payloadBytes = Int(header.payloadBytes)
        receivedUnixNano = header.receivedUnixNano
        self.isWhole = isWhole
    }
}
