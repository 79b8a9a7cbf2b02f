import Dispatch
import Glibc
import Logging
import Synchronization

/// Where finished log lines go. Writing returns at once: a queue of bounded size stands between the caller and the file, so that a
/// terminal or pipe nobody reads stops no event loop. Lines that do not fit are dropped and their number is said later.
public final class LogOutput: Sendable {
    /// Bytes of lines waiting to be written: some thousand lines, more than a reader that is merely slow needs.
    static let pendingBytesMax = 1 << 20

    private struct State {
        var pending: [UInt8] = []
        var dropped = 0
        var isDraining = false
    }

    private let settings: Mutex<(encoding: LogEncoding, level: Logger.Level)>
    private let descriptor: Int32
    private let state = Mutex(State())
    private let writer = DispatchQueue(label: "log-output")

    /// - Parameter descriptor: open for writing for as long as this object lives; not closed by it.
    public init(encoding: LogEncoding, descriptor: Int32 = STDERR_FILENO) {
        settings = Mutex((encoding, .info))
        self.descriptor = descriptor
    }

    /// Of the lines from now on.
    public var encoding: LogEncoding {
        get { settings.withLock { $0.encoding } }
        set { settings.withLock { $0.encoding = newValue } }
    }

    /// Loggers leave out what is below.
    public var level: Logger.Level {
        get { settings.withLock { $0.level } }
        set { settings.withLock { $0.level = newValue } }
    }

    /// Takes one line, without its line end.
    func write(_ line: String) {
        let startDraining = state.withLock { state in
            guard state.pending.count + line.utf8.count < Self.pendingBytesMax else {
                state.dropped += 1
                return false
            }
            state.pending.append(contentsOf: line.utf8)
            state.pending.append(UInt8(ascii: "\n"))
            defer { state.isDraining = true }
            return !state.isDraining
        }
        if startDraining { writer.async { self.drain() } }
    }

    /// Waits until what was written so far is out, but no longer than `timeout`: before the process ends.
    public func flush(timeout: Duration = .seconds(1)) {
        let done = DispatchSemaphore(value: 0)
        writer.async { done.signal() }
        let (seconds, attoseconds) = timeout.components
        _ = done.wait(timeout: .now() + .milliseconds(Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)))
    }

    private func drain() {
        while true {
            let bytes: [UInt8]? = state.withLock { state in
                if state.dropped > 0, state.pending.count < Self.pendingBytesMax / 2 {
                    state.pending.append(contentsOf: note(dropped: state.dropped).utf8)
                    state.dropped = 0
                }
                guard !state.pending.isEmpty else {
                    state.isDraining = false
                    return nil
                }
                defer { state.pending = [] }
                return state.pending
            }
            guard let bytes else { return }
            writeOut(bytes)
        }
    }

    private func note(dropped: Int) -> String {
        let line = LogLine(
            time: LogLine.now(), level: .warning, logger: "log", message: "log lines were dropped: nobody read them in time",
            fields: [("count", "\(dropped)")])
        return line.text(encoding) + "\n"
    }

    /// Blocks as long as the reader does; gives up when there is none any more.
    private func writeOut(_ bytes: [UInt8]) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: done), bytes.count - done) }
            if count > 0 {
                done += count
            } else if errno == EAGAIN {
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&waiting, 1, -1)
            } else if errno != EINTR {
                return
            }
        }
    }
}
