import Glibc
import OTLPWire

/// A file of prices on disk, LiteLLM's JSON or our YAML: told apart by the first character.
enum PriceFile {
    /// What tells whether the file is still the one that was read.
    struct Stamp: Equatable, Sendable {
        let seconds: Int
        let nanoseconds: Int
        let size: Int
        let inode: UInt64
    }

    private static let chunkBytes = 256 * 1024

    static func stamp(_ path: String) -> Stamp? {
        var status = stat()
        guard fstatat(AT_FDCWD, path, &status, 0) == 0 else { return nil }
        return Stamp(
            seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec, size: Int(status.st_size), inode: UInt64(status.st_ino))
    }

    static func read(_ path: String) throws(PriceFileError) -> PriceTable.Layer {
        let bytes = try contents(path)
        let isJSON = bytes.first { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 } == UInt8(ascii: "{")
        if isJSON {
            let result: Result<PriceTable.Layer, PriceFileError> = bytes.withUnsafeBytes { bytes in
                Result { () throws(PriceFileError) in try LiteLLMPrices.read(bytes, file: path) }
            }
            return try result.get()
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw PriceFileError(path, "is not UTF-8 text") }
        return try OwnPrices.read(yaml: text, file: path)
    }

    private static func contents(_ path: String) throws(PriceFileError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw PriceFileError(path, "cannot be read: \(reason(errno))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while true {
            let used = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: chunkBytes))
            let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress?.advanced(by: used), chunkBytes) }
            let failure = errno
            bytes.removeLast(chunkBytes - max(0, count))
            if count == 0 { return bytes }
            if count < 0, failure != EINTR { throw PriceFileError(path, "cannot be read: \(reason(failure))") }
            guard bytes.count <= GenAILimits.priceFileBytesMax else {
                throw PriceFileError(path, "is larger than \(GenAILimits.priceFileBytesMax >> 20) MiB")
            }
        }
    }

    private static func reason(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
