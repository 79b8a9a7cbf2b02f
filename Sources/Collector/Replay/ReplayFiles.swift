import Glibc

/// The files of a replay, so that it may be broken off at any moment and run again:
///
/// - `FILE.sending` is the dead-letter file, renamed under its lock: a collector that adds rows meanwhile makes a new one.
/// - `FILE.sending.done` says how many of its bytes are done with, after the replay's mark. Synced after each answer, so that a replay that
///   was killed sends at most one request a second time; the receiver's write-ahead log recognises it within its window, as the bytes are
///   the same.
/// - The mark goes into each request, so that rows that were refused once more after an earlier replay are not taken for a repeat of that.
/// - What is refused goes back to the end of `FILE` before it counts as done.
/// - `FILE.rejected` takes requests of which some spans were rejected: sending them again would double the others.
final class ReplayFiles {
    let path: String
    let size: Int
    /// Bytes that are done with.
    private(set) var done = 0
    /// Tells this replay from others of the same rows; stays the same when it is continued.
    let mark: UInt64
    private let file: Int32
    private let progress: Int32

    private static let fileMode: mode_t = 0o600

    /// Whether an earlier replay was broken off.
    static func hasUnfinished(_ path: String) -> Bool { access("\(path).sending", F_OK) == 0 }

    /// Goes on with an earlier replay, or begins one.
    init(_ path: String) throws(CommandFailure) {
        self.path = path
        let sending = "\(path).sending"
        if !Self.hasUnfinished(path) { try Self.begin(path, sending) }
        file = open(sending, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Self.failure(sending, "open") }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw CommandFailure("\(sending): another replay is at work")
        }
        progress = open("\(sending).done", O_RDWR | O_CREAT | O_CLOEXEC, Self.fileMode)
        var status = stat()
        guard progress >= 0, fstat(file, &status) == 0 else {
            let failure = Self.failure(sending, "open")
            close(file)
            throw failure
        }
        size = Int(status.st_size)
        if let known = Self.read(progress) {
            (mark, done) = (known.mark, min(known.done, size))
        } else {
            mark = .random(in: .min ... .max)
            try advance(to: 0)
        }
    }

    deinit {
        close(file)
        close(progress)
    }

    private static func begin(_ path: String, _ sending: String) throws(CommandFailure) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(path, "open") }
        defer { close(file) }
        // Left over from a replay that was killed at its very end.
        unlink("\(sending).done")
        guard flock(file, LOCK_EX) == 0, rename(path, sending) == 0 else { throw failure(path, "rename") }
    }

    /// The mark in 16 hexadecimal digits, a space, and the offset; nil for a new file.
    private static func read(_ file: Int32) -> (mark: UInt64, done: Int)? {
        var text = [UInt8](repeating: 0, count: 64)
        let count = pread(file, &text, text.count, 0)
        guard count > 0 else { return nil }
        let parts = text[..<count].prefix { $0 != UInt8(ascii: "\n") }.split(separator: UInt8(ascii: " "))
        guard parts.count == 2, let mark = UInt64(String(decoding: parts[0], as: UTF8.self), radix: 16),
            let done = Int(String(decoding: parts[1], as: UTF8.self)), done >= 0
        else { return nil }
        return (mark, done)
    }

    /// Up to `count` bytes from `offset`.
    func read(_ count: Int, at offset: Int) throws(CommandFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: min(count, size - offset))
        var got = 0
        while got < bytes.count {
            let step = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress?.advanced(by: got), $0.count - got, off_t(offset + got)) }
            if step < 0, errno == EINTR { continue }
            guard step > 0 else { throw Self.failure("\(path).sending", "read") }
            got += step
        }
        return bytes
    }

    /// 16 hexadecimal digits.
    var markText: String {
        let digits = String(mark, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    func advance(to offset: Int) throws(CommandFailure) {
        let text = Array("\(markText) \(offset)\n".utf8)
        // Offsets only grow, so that a longer number never leaves digits of the one before.
        guard pwrite(progress, text, text.count, 0) == text.count, fsync(progress) == 0 else {
            throw Self.failure("\(path).sending.done", "write")
        }
        done = offset
    }

    /// Puts lines back to the end of `FILE`, or with a suffix to another file.
    func keep(_ lines: [ArraySlice<UInt8>], suffix: String = "") throws(CommandFailure) {
        let target = path + suffix
        let file = open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, Self.fileMode)
        guard file >= 0 else { throw Self.failure(target, "open") }
        defer { close(file) }
        guard flock(file, LOCK_EX) == 0 else { throw Self.failure(target, "lock") }
        var bytes: [UInt8] = []
        for line in lines { bytes += line + [UInt8(ascii: "\n")] }
        var written = 0
        while written < bytes.count {
            let step = bytes.withUnsafeBytes { write(file, $0.baseAddress?.advanced(by: written), $0.count - written) }
            if step < 0, errno == EINTR { continue }
            guard step > 0 else { throw Self.failure(target, "write") }
            written += step
        }
        guard fsync(file) == 0 else { throw Self.failure(target, "fsync") }
    }

    /// All is done with.
    func remove() {
        unlink("\(path).sending")
        unlink("\(path).sending.done")
    }

    private static func failure(_ path: String, _ call: String) -> CommandFailure {
        CommandFailure("\(path): \(call): \(String(cString: strerror(errno)))")
    }
}
