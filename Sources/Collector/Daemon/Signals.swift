import Dispatch
import Glibc

/// Turns SIGTERM, SIGINT and SIGHUP into calls, for as long as it lives. Calls come on a queue of its own, one at a time.
final class Signals: @unchecked Sendable {
    enum Event: Equatable, Sendable {
        /// SIGTERM or SIGINT for the first time.
        case stop
        /// Once more: whoever sent it does not want to wait.
        case stopNow
        /// SIGHUP.
        case reload
    }

    /// Which event a signal is; pure.
    struct Interpreter {
        private var isStopping = false

        mutating func event(_ number: Int32) -> Event {
            guard number != SIGHUP else { return .reload }
            defer { isStopping = true }
            return isStopping ? .stopNow : .stop
        }
    }

    /// Touched on `queue` only.
    private var interpreter = Interpreter()
    private let queue = DispatchQueue(label: "signals")
    private var sources: [any DispatchSourceSignal] = []

    init(_ handler: @escaping @Sendable (Event) -> Void) {
        for number in [SIGTERM, SIGINT, SIGHUP] {
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { [weak self] in
                guard let self else { return }
                handler(interpreter.event(number))
            }
            sources.append(source)
        }
        for source in sources { source.resume() }
    }

    deinit {
        for source in sources { source.cancel() }
    }
}
