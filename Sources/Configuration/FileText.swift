import Glibc

/// Reads small text files: the configuration's own and those of `${file:PATH}`.
enum FileText {
    struct Failure: Error {
        /// Why, in words that end "cannot be read: …".
        let reason: String
    }

    /// Bytes asked for per system call.
    private static let chunkBytes = 64 << 10

    /// The file's text. Fails when it cannot be opened, is larger than `ConfigurationLimits.fileBytesMax`, or is not UTF-8.
    static func read(_ path: String) throws(Failure) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Failure(reason: describe(errno)) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while true {
            let used = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: chunkBytes))
            let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress?.advanced(by: used), chunkBytes) }
            bytes.removeLast(chunkBytes - max(0, count))
            if count == 0 { break }
            if count < 0, errno != EINTR { throw Failure(reason: describe(errno)) }
            guard bytes.count <= ConfigurationLimits.fileBytesMax else {
                throw Failure(reason: "larger than \(ConfigurationLimits.fileBytesMax >> 20) MiB")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure(reason: "not UTF-8 text") }
        return text
    }

    private static func describe(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
