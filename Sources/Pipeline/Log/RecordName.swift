/// The first part of a record's body: the project's name, and for a request that was rewritten before it was appended a zero byte and
/// eight more, little-endian, that say by what.
///
/// Behind the name, because a reader that does not know of it then takes the record for one of a receiver that is no more: it goes
/// through all pipelines, and is rewritten once more, rather than not at all.
struct RecordName: Equatable {
    var project: String
    /// 0: the request is as it came.
    var rewrittenBy: UInt64

    private static let suffixBytes = 1 + MemoryLayout<UInt64>.size

    init(project: String, rewrittenBy: UInt64) {
        self.project = project
        self.rewrittenBy = rewrittenBy
    }

    var encoded: [UInt8] {
        var bytes = Array(project.utf8)
        guard rewrittenBy != 0 else { return bytes }
        bytes += [0]
        withUnsafeBytes(of: rewrittenBy.littleEndian) { bytes.append(contentsOf: $0) }
        return bytes
    }

    /// Reads any bytes. No receiver's id holds a zero byte.
    init(_ bytes: UnsafeRawBufferPointer) {
        let nameEnd = bytes.count - Self.suffixBytes
        if nameEnd >= 0, bytes[nameEnd] == 0 {
            rewrittenBy = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: nameEnd + 1, as: UInt64.self))
            project = String(decoding: bytes[..<nameEnd], as: UTF8.self)
        } else {
            rewrittenBy = 0
            project = bytes.isEmpty ? "" : String(decoding: bytes, as: UTF8.self)
        }
    }
}
