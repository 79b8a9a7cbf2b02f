import Glibc
import OTLPWire

/// Reads records of one segment file through a window of buffered bytes. Trusts nothing: whatever the file holds, the answer is a record
/// whose checksums hold, or none. Used by one thread at a time.
final class SegmentReader {
    let firstSequence: UInt64
    let nonce: UInt64
    private let files: any LogFiles
    private let file: LogFile
    private let ownsFile: Bool
    private let window: LogBuffer
    /// Bytes of the file that are in `window`.
    private var loaded: Range<Int> = 0..<0

    /// Takes over `file`; nil when there is no memory.
    init?(file: LogFile, files: any LogFiles, firstSequence: UInt64, nonce: UInt64, ownsFile: Bool = true) {
        guard let window = LogBuffer(count: LogLimits.readWindowBytes) else {
            if ownsFile { files.close(file) }
            return nil
        }
        self.file = file
        self.files = files
        self.firstSequence = firstSequence
        self.nonce = nonce
        self.ownsFile = ownsFile
        self.window = window
    }

    deinit {
        if ownsFile { files.close(file) }
    }

    /// The two copies of the header at the start of a file, of which one must be whole.
    static func header(of file: LogFile, files: any LogFiles) throws(LogFileError) -> Result<SegmentHeader, SegmentHeader.DecodeFailure> {
        guard let buffer = LogBuffer(count: LogFormat.recordsStart) else { throw LogFileError(ENOMEM, "malloc") }
        let count = try files.read(file, into: buffer.bytes, at: 0)
        var failure = SegmentHeader.DecodeFailure.damaged
        for start in [0, LogFormat.headerBytes] where count >= start + LogFormat.headerBytes {
            let copy = UnsafeRawBufferPointer(rebasing: buffer.bytes[start..<start + LogFormat.headerBytes])
            do {
                return .success(try SegmentHeader(copy))
            } catch {
                // A damaged copy says nothing; a newer one is believed only when the other does not hold.
                if error == .newerVersion { failure = .newerVersion }
            }
        }
        return .failure(failure)
    }

    /// At least `count` bytes at `offset`, or nil beyond `end`.
    private func bytes(at offset: Int, count: Int, end: Int) throws(LogFileError) -> UnsafeRawPointer? {
        guard count <= window.bytes.count, offset <= end - count else { return nil }
        if offset < loaded.lowerBound || offset + count > loaded.upperBound {
            loaded = 0..<0
            // Never beyond `end`: what is there may be written later, and must then be read again.
            let part = UnsafeMutableRawBufferPointer(rebasing: window.bytes[..<min(window.bytes.count, end - offset)])
            let read = try files.read(file, into: part, at: offset)
            loaded = offset..<offset + read
            guard read >= count else { return nil }
        }
        return UnsafeRawPointer(window.bytes.baseAddress).map { $0 + (offset - loaded.lowerBound) }
    }

    /// The header of the record at `offset` if there is one whose body ends before `end`.
    func record(at offset: Int, end: Int) throws(LogFileError) -> RecordHeader? {
        guard let start = try bytes(at: offset, count: RecordHeader.bytes, end: end),
            let header = RecordHeader(at: start, nonce: nonce, offset: offset), header.bodyBytes <= end - offset - RecordHeader.bytes
        else { return nil }
        return header
    }

    /// The first place from `offset` on where a record begins, looking for its marker.
    func nextRecord(from offset: Int, end: Int) throws(LogFileError) -> Int? {
        var offset = LogFormat.aligned(offset)
        while offset <= end - RecordHeader.bytes {
            guard let start = try bytes(at: offset, count: LogFormat.alignment, end: end) else { return nil }
            let count = (loaded.upperBound - offset) & ~(LogFormat.alignment - 1)
            guard let found = Self.marker(in: UnsafeRawBufferPointer(start: start, count: min(count, end - offset))) else {
                offset += count
                continue
            }
            offset += found
            if try record(at: offset, end: end) != nil { return offset }
            offset += LogFormat.alignment
        }
        return nil
    }

    private static func marker(in bytes: UnsafeRawBufferPointer) -> Int? {
        var position = 0
        while position + 4 <= bytes.count {
            if bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self) == RecordHeader.marker.littleEndian { return position }
            position += LogFormat.alignment
        }
        return nil
    }

    /// The offset of the first byte from `offset` on that is not zero.
    func firstNonZero(from offset: Int, end: Int) throws(LogFileError) -> Int? {
        var offset = offset
        while offset < end {
            guard let start = try bytes(at: offset, count: 1, end: end) else { return nil }
            let count = min(loaded.upperBound, end) - offset
            let part = UnsafeRawBufferPointer(start: start, count: count)
            // memcmp against itself, shifted by one: all bytes equal the first.
            if part[0] != 0 { return offset }
            if count > 1, memcmp(start, start + 1, count - 1) != 0 { return part.firstIndex { $0 != 0 }.map { offset + $0 } }
            offset += count
        }
        return nil
    }

    /// Whether the record's body is as it was written.
    func bodyIsWhole(_ header: RecordHeader, at offset: Int) throws(LogFileError) -> Bool {
        var position = offset + RecordHeader.bytes
        let end = position + header.bodyBytes
        var sum: UInt32 = 0
        while position < end {
            guard let start = try bytes(at: position, count: 1, end: end) else { return false }
            let count = min(loaded.upperBound, end) - position
            sum = CRC32C.of(UnsafeRawBufferPointer(start: start, count: count), seed: sum)
            position += count
        }
        return sum == header.bodyChecksum
    }

    /// The record's body; nil when it is not as it was written.
    func body(_ header: RecordHeader, at offset: Int) throws(LogFileError) -> LogBuffer? {
        guard let buffer = LogBuffer(count: header.bodyBytes) else { throw LogFileError(ENOMEM, "malloc") }
        let position = offset + RecordHeader.bytes
        let end = position + header.bodyBytes
        if loaded.lowerBound <= position, end <= loaded.upperBound, let base = window.bytes.baseAddress, header.bodyBytes > 0 {
            buffer.bytes.copyMemory(from: UnsafeRawBufferPointer(start: base + (position - loaded.lowerBound), count: header.bodyBytes))
        } else if try files.read(file, into: buffer.bytes, at: position) != header.bodyBytes {
            return nil
        }
        return CRC32C.of(UnsafeRawBufferPointer(buffer.bytes)) == header.bodyChecksum ? buffer : nil
    }
}
