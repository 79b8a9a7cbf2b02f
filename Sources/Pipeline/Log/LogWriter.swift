import Glibc
import OTLPWire

/// A request on its way into the log.
struct PendingAppend: @unchecked Sendable {
    var signal: LogSignal
    /// `RecordName`.
    var name: [UInt8]
    var receivedUnixNano: UInt64
    /// Valid until `completion` is called.
    var payload: WireBytes
    var fingerprint: Fingerprint
    /// Of name and payload.
    var checksum: UInt32
    var completion: @Sendable (AppendOutcome) -> Void

    var recordBytes: Int { RecordHeader.totalBytes(body: name.count + payload.count) }
}

/// Writes the segment that is appended to. Confined to the log's thread; keeps no state that a failed call could leave half changed: the
/// offset moves when everything before it is written.
final class LogWriter {
    struct Segment {
        let file: LogFile
        let name: String
        let header: SegmentHeader
        let bytes: Int
        var offset = LogFormat.recordsStart
        /// Written since the last sync.
        var isDirty = true
    }

    private let directory: String
    private let files: any LogFiles
    private(set) var segment: Segment?
    /// Headers, projects' names and padding of a group, which stand between the callers' payloads.
    private var scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    private var parts: [iovec] = []
    private var offsets: [Int] = []

    init(directory: String, files: any LogFiles) {
        self.directory = directory
        self.files = files
    }

    deinit {
        scratch.deallocate()
        if let segment { files.close(segment.file) }
    }

    /// Part of a segment that requests leave to releases.
    static func releaseReserve(segmentBytes: Int) -> Int { LogFormat.aligned(segmentBytes / LogLimits.releaseReserveFraction) }

    /// Bytes that requests may still take.
    var requestRoom: Int {
        guard let segment else { return 0 }
        return max(0, segment.bytes - Self.releaseReserve(segmentBytes: segment.bytes) - segment.offset)
    }

    /// Bytes that release records may still take.
    var controlRoom: Int { segment.map { max(0, $0.bytes - $0.offset) } ?? 0 }

    /// Makes the file and writes its header; nothing is durable before `sync`. After a failure it is to be discarded.
    func begin(_ header: SegmentHeader, bytes: Int) throws(LogFileError) {
        let name = LogFormat.fileName(firstSequence: header.firstSequence)
        let file = try files.create(directory + "/" + name, bytes: bytes)
        segment = Segment(file: file, name: name, header: header, bytes: bytes)
        let copy = header.encoded()
        try (copy + copy).withUnsafeBufferPointer { (both) throws(LogFileError) in
            parts.removeAll(keepingCapacity: true)
            add(UnsafeRawBufferPointer(both))
            try writeParts(at: 0)
        }
    }

    /// Closes the segment without a further call on its data, and removes it.
    ///
    /// - Returns: the file, if it cannot be removed now; the next start finds it empty.
    func discard() -> (name: String, bytes: Int)? {
        guard let segment else { return nil }
        self.segment = nil
        files.close(segment.file)
        do {
            try files.remove(directory + "/" + segment.name)
            return nil
        } catch {
            return (segment.name, segment.bytes)
        }
    }

    /// Gives back what the segment has not used and closes it.
    ///
    /// - Returns: the file's size.
    func seal() -> Int {
        guard let segment else { return 0 }
        defer {
            files.close(segment.file)
            self.segment = nil
        }
        do {
            try files.truncate(segment.file, to: segment.offset)
            return segment.offset
        } catch {
            return segment.bytes
        }
    }

    func sync() throws(LogFileError) {
        guard let segment, segment.isDirty else { return }
        try files.sync(segment.file)
        self.segment?.isDirty = false
    }

    /// Makes the segment's name durable.
    func syncDirectory() throws(LogFileError) { try files.syncDirectory(directory) }

    /// - Precondition: it fits into `controlRoom`.
    func write(_ kind: RecordHeader.Kind, body: [UInt8], sequence: UInt64) throws(LogFileError) {
        guard let segment else { return }
        try body.withUnsafeBufferPointer { (numbers) throws(LogFileError) in
            let bytes = UnsafeRawBufferPointer(numbers)
            let header = RecordHeader(kind: kind, payloadBytes: bytes.count, sequence: sequence, bodyChecksum: CRC32C.of(bytes))
            reserve(RecordHeader.bytes + LogFormat.alignment)
            parts.removeAll(keepingCapacity: true)
            var used = 0
            put(header, segment: segment, offset: segment.offset, &used)
            add(bytes)
            pad(bytes.count, &used)
            try writeParts(at: segment.offset)
            self.segment?.offset += header.totalBytes
        }
    }

    /// Writes requests with one call where the system takes it whole, straight from their buffers.
    ///
    /// - Precondition: they fit into `requestRoom`, and are at most `LogLimits.groupRequestsMax`.
    /// - Returns: the records' offsets.
    func write(_ group: ArraySlice<PendingAppend>, firstSequence: UInt64) throws(LogFileError) -> [Int] {
        guard let segment else { return [] }
        reserve(group.reduce(0) { $0 + RecordHeader.bytes + $1.name.count + LogFormat.alignment })
        parts.removeAll(keepingCapacity: true)
        offsets.removeAll(keepingCapacity: true)
        var used = 0
        var offset = segment.offset
        var sequence = firstSequence
        for request in group {
            let header = RecordHeader(
                kind: .request, signal: request.signal.rawValue, encoding: RecordHeader.encodingProtobuf,
                payloadBytes: request.payload.count, projectBytes: request.name.count, sequence: sequence,
                receivedUnixNano: request.receivedUnixNano, fingerprint: request.fingerprint, bodyChecksum: request.checksum)
            put(header, segment: segment, offset: offset, &used)
            for byte in request.name { putByte(byte, &used) }
            add(request.payload)
            pad(header.bodyBytes, &used)
            offsets.append(offset)
            offset += header.totalBytes
            sequence += 1
        }
        try writeParts(at: segment.offset)
        self.segment?.offset = offset
        return offsets
    }
}

extension LogWriter {
    /// Room in `scratch`, before anything points into it.
    private func reserve(_ bytes: Int) {
        guard bytes > scratch.count else { return }
        scratch.deallocate()
        scratch = .allocate(byteCount: bytes, alignment: 16)
    }

    private func put(_ header: RecordHeader, segment: Segment, offset: Int, _ used: inout Int) {
        let target = UnsafeMutableRawBufferPointer(rebasing: scratch[used..<used + RecordHeader.bytes])
        if let start = target.baseAddress { header.encode(to: start, nonce: segment.header.nonce, offset: offset) }
        used += RecordHeader.bytes
        add(UnsafeRawBufferPointer(target))
    }

    private func putByte(_ byte: UInt8, _ used: inout Int) {
        scratch[used] = byte
        used += 1
        add(UnsafeRawBufferPointer(rebasing: scratch[used - 1..<used]))
    }

    private func pad(_ bodyBytes: Int, _ used: inout Int) {
        for _ in bodyBytes..<LogFormat.aligned(bodyBytes) { putByte(0, &used) }
    }

    /// Appends to the parts, joining what lies side by side.
    private func add(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        if let last = parts.last, let lastStart = last.iov_base, lastStart + last.iov_len == start {
            parts[parts.count - 1].iov_len += bytes.count
        } else {
            parts.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: start), iov_len: bytes.count))
        }
    }

    private func writeParts(at offset: Int) throws(LogFileError) {
        guard let segment else { return }
        self.segment?.isDirty = true
        var first = 0
        var offset = offset
        while first < parts.count {
            var written = try parts.withUnsafeBufferPointer { (all) throws(LogFileError) in
                try files.write(segment.file, UnsafeBufferPointer(rebasing: all[first...]), at: offset)
            }
            offset += written
            while first < parts.count, written >= parts[first].iov_len {
                written -= parts[first].iov_len
                first += 1
            }
            if written > 0, first < parts.count {
                parts[first].iov_base = parts[first].iov_base.map { $0 + written }
                parts[first].iov_len -= written
            }
        }
    }
}
