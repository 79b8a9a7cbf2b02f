import Configuration
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
        do throws(FileBytes.Failure) {
            return try FileBytes.read(path, bytesMax: GenAILimits.priceFileBytesMax)
        } catch {
            switch error {
            case .unreadable(let reason): throw PriceFileError(path, "cannot be read: \(reason)")
            case .tooLarge: throw PriceFileError(path, "is larger than \(GenAILimits.priceFileBytesMax >> 20) MiB")
            }
        }
    }
}
