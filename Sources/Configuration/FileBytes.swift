import Glibc

/// Reads files that users name in the configuration: its own, those of `${file:PATH}`, and what components read.
public enum FileBytes {
    public enum Failure: Error, Equatable {
        /// The file cannot be opened or read: the system's reason.
        case unreadable(String)
        case tooLarge
    }

    /// Bytes asked for per system call.
    private static let chunkBytes = 64 << 10

    /// The file's content. Fails as soon as it proves larger than `bytesMax`, so that a device file ends too.
    public static func read(_ path: String, bytesMax: Int) throws(Failure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(describe(errno)) }
        defer { close(descriptor) }
        return try read(descriptor: descriptor, bytesMax: bytesMax)
    }

    /// What is left to read of an open file, such as standard input.
    public static func read(descriptor: Int32, bytesMax: Int) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let used = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: chunkBytes))
            let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress?.advanced(by: used), chunkBytes) }
            let failure = errno
            bytes.removeLast(chunkBytes - max(0, count))
            if count == 0 { return bytes }
            if count < 0, failure != EINTR { throw .unreadable(describe(failure)) }
            guard bytes.count <= bytesMax else { throw .tooLarge }
        }
    }

    private static func describe(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
