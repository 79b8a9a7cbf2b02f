import Glibc

/// A failed call to the file system.
struct LogFileError: Error, Equatable, CustomStringConvertible {
    /// errno(3).
    let code: Int32
    /// The call, for messages.
    let call: StaticString

    init(_ code: Int32, _ call: StaticString) {
        self.code = code
        self.call = call
    }

    var description: String { "\(call): \(String(cString: strerror(code)))" }

    static func == (left: LogFileError, right: LogFileError) -> Bool { left.code == right.code }
}

/// An open file of the log.
struct LogFile: Hashable, Sendable {
    let descriptor: Int32
}

/// The calls to the file system that the log makes, all of them; from the log's thread, and reads from feeders' threads.
protocol LogFiles: Sendable {
    /// Makes the directory, and those above it, if missing; mode 0700.
    func makeDirectory(_ path: String) throws(LogFileError)
    /// Locks the file, made if missing, for this process, without waiting: EWOULDBLOCK when another one has it. Unlocked by `close`.
    func lock(_ path: String) throws(LogFileError) -> LogFile
    /// Names in the directory, in no order.
    func list(_ directory: String) throws(LogFileError) -> [String]
    /// Makes a file that must not exist, with `bytes` zeros for which the disk has room.
    func create(_ path: String, bytes: Int) throws(LogFileError) -> LogFile
    func open(_ path: String, forWriting: Bool) throws(LogFileError) -> LogFile
    func size(_ file: LogFile) throws(LogFileError) -> Int
    /// Writes at most what the parts hold, at least one byte; returns how much.
    func write(_ file: LogFile, _ parts: UnsafeBufferPointer<iovec>, at offset: Int) throws(LogFileError) -> Int
    /// Reads up to the buffer's size; fewer bytes at the end of the file.
    func read(_ file: LogFile, into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(LogFileError) -> Int
    /// fdatasync(2).
    func sync(_ file: LogFile) throws(LogFileError)
    func syncDirectory(_ path: String) throws(LogFileError)
    func truncate(_ file: LogFile, to bytes: Int) throws(LogFileError)
    func remove(_ path: String) throws(LogFileError)
    func close(_ file: LogFile)
}

/// The real file system.
public struct POSIXLogFiles: Sendable {
    public init() {}
}

extension POSIXLogFiles: LogFiles {
    /// Only the collector's own user reads requests.
    private static let directoryMode: mode_t = 0o700
    private static let fileMode: mode_t = 0o600

    func makeDirectory(_ path: String) throws(LogFileError) {
        if mkdir(path, Self.directoryMode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { throw LogFileError(errno, "mkdir") }
        try makeDirectory(String(path[..<slash]))
        if mkdir(path, Self.directoryMode) != 0, errno != EEXIST { throw LogFileError(errno, "mkdir") }
    }

    func lock(_ path: String) throws(LogFileError) -> LogFile {
        let file = try opened(path, O_RDWR | O_CREAT)
        if flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 { return file }
        let code = errno
        close(file)
        throw LogFileError(code, "flock")
    }

    func list(_ directory: String) throws(LogFileError) -> [String] {
        guard let stream = opendir(directory) else { throw LogFileError(errno, "opendir") }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            names.append(withUnsafePointer(to: &entry.pointee.d_name) { Self.text(UnsafeRawPointer($0)) })
        }
        if errno != 0 { throw LogFileError(errno, "readdir") }
        return names
    }

    private static func text(_ name: UnsafeRawPointer) -> String {
        String(cString: name.assumingMemoryBound(to: CChar.self))
    }

    func create(_ path: String, bytes: Int) throws(LogFileError) -> LogFile {
        let file = try opened(path, O_RDWR | O_CREAT | O_EXCL)
        // Fails now rather than in the middle of the file when the disk has no room.
        let code = posix_fallocate(file.descriptor, 0, off_t(bytes))
        if code == 0 { return file }
        close(file)
        unlink(path)
        throw LogFileError(code, "posix_fallocate")
    }

    func open(_ path: String, forWriting: Bool) throws(LogFileError) -> LogFile {
        try opened(path, forWriting ? O_RDWR : O_RDONLY)
    }

    private func opened(_ path: String, _ flags: Int32) throws(LogFileError) -> LogFile {
        let descriptor = Glibc.open(path, flags | O_CLOEXEC, Self.fileMode)
        if descriptor < 0 { throw LogFileError(errno, "open") }
        return LogFile(descriptor: descriptor)
    }

    func size(_ file: LogFile) throws(LogFileError) -> Int {
        var status = stat()
        if fstat(file.descriptor, &status) != 0 { throw LogFileError(errno, "fstat") }
        return Int(status.st_size)
    }

    func write(_ file: LogFile, _ parts: UnsafeBufferPointer<iovec>, at offset: Int) throws(LogFileError) -> Int {
        while true {
            let count = pwritev(file.descriptor, parts.baseAddress, Int32(parts.count), off_t(offset))
            if count > 0 { return count }
            if count == 0 { throw LogFileError(EIO, "pwritev") }
            if errno != EINTR { throw LogFileError(errno, "pwritev") }
        }
    }

    func read(_ file: LogFile, into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(LogFileError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = pread(file.descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
            if count == 0 { break }
            if count > 0 {
                done += count
            } else if errno != EINTR {
                throw LogFileError(errno, "pread")
            }
        }
        return done
    }

    func sync(_ file: LogFile) throws(LogFileError) {
        if fdatasync(file.descriptor) != 0 { throw LogFileError(errno, "fdatasync") }
    }

    func syncDirectory(_ path: String) throws(LogFileError) {
        let directory = try opened(path, O_RDONLY | O_DIRECTORY)
        defer { close(directory) }
        if fsync(directory.descriptor) != 0 { throw LogFileError(errno, "fsync") }
    }

    func truncate(_ file: LogFile, to bytes: Int) throws(LogFileError) {
        if ftruncate(file.descriptor, off_t(bytes)) != 0 { throw LogFileError(errno, "ftruncate") }
    }

    func remove(_ path: String) throws(LogFileError) {
        if unlink(path) != 0, errno != ENOENT { throw LogFileError(errno, "unlink") }
    }

    func close(_ file: LogFile) {
        Glibc.close(file.descriptor)
    }
}
