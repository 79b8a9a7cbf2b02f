import Glibc
import Synchronization

/// Breaks off what a worker's connection blocks in, from another thread, and for good: what is tried afterwards fails at once.
///
/// A connection registers its socket while it is open; shutting the socket down makes every blocking call on it return. While a
/// connection is being made, its thread also polls `pollDescriptor`.
final class Interrupter: Sendable {
    private struct State {
        var socket: Int32 = -1
        /// Write end of a pipe that nobody writes to; closing it is the signal.
        var pipeEnd: Int32 = -1
        var isInterrupted = false
    }

    private let state: Mutex<State>
    /// Ready once interrupted; -1, which poll ignores, when the system had no descriptor left: then connecting ends by its time limit.
    let pollDescriptor: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        if pipe(&ends) != 0 { ends = [-1, -1] }
        for end in ends where end >= 0 { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        pollDescriptor = ends[0]
        state = Mutex(State(pipeEnd: ends[1]))
    }

    deinit {
        interrupt()
        if pollDescriptor >= 0 { close(pollDescriptor) }
    }

    var isInterrupted: Bool { state.withLock { $0.isInterrupted } }

    func interrupt() {
        state.withLock { state in
            state.isInterrupted = true
            if state.socket >= 0 { shutdown(state.socket, Int32(SHUT_RDWR)) }
            if state.pipeEnd >= 0 { close(state.pipeEnd) }
            state.pipeEnd = -1
        }
    }

    /// The socket to shut down; -1 before it is closed, so that a number the system gives out anew is never touched.
    func setSocket(_ socket: Int32) {
        state.withLock { state in
            state.socket = socket
            if state.isInterrupted, socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
        }
    }
}
