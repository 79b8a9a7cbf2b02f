/// Writes batches to one destination over one connection. Used by one worker thread at a time and allowed to block it, but
/// no longer than `Cancellation` allows.
public protocol BatchWriter<Batch>: AnyObject {
    associatedtype Batch: TelemetryBatch
    func write(_ batch: Batch, cancellation: Cancellation) -> WriteOutcome
    func close()
}

public enum WriteOutcome: Sendable, Equatable {
    case written
    /// Try again, not before `after`. What the writer knows to be at the destination already it does not write again.
    case retryable(ExportProblem, after: Duration?)
    /// Trying again will not help: `lostItems` of the batch are dropped, `savedItems` are in the dead-letter file, the rest is at the
    /// destination.
    case permanent(ExportProblem, lostItems: Int, savedItems: Int = 0)
}

/// Why a write failed: for logs and health, so without user data.
public struct ExportProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// Short and stable, a metric label: "connection", "authentication", "schema", "data", "disk", "dead_letter".
    public let kind: String
    public let description: String

    public init(kind: String, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

/// Tells blocking workers that the exporter's time is up, and is what they wait on between attempts.
public final class Cancellation: @unchecked Sendable {
    private let lock = ConditionLock()
    private var cancelled = false
    private var handlers: [Int: @Sendable () -> Void] = [:]
    private var nextHandler = 0
    /// Handlers that `cancel` is calling now.
    private var running: Set<Int> = []

    public init() {}

    public var isCancelled: Bool { lock.withLock { cancelled } }

    public func cancel() {
        let run = lock.withLock {
            cancelled = true
            running.formUnion(handlers.keys)
            lock.broadcast()
            defer { handlers = [:] }
            return handlers
        }
        for (key, handler) in run {
            handler()
            lock.withLock {
                running.remove(key)
                lock.broadcast()
            }
        }
    }

    /// Waits; false when cancelled before the time was over.
    public func wait(_ duration: Duration) -> Bool {
        let deadline = ContinuousClock.now + duration
        return lock.withLock {
            while !cancelled, lock.wait(until: deadline) {}
            return !cancelled
        }
    }

    /// Runs `body`, calling `handler` from the cancelling thread if that happens meanwhile (at once if it has happened), to
    /// break a call that blocks. When this returns the handler is not running and will not run: what it uses may be freed.
    public func withHandler<Result>(_ handler: @escaping @Sendable () -> Void, _ body: () -> Result) -> Result {
        let (key, already) = lock.withLock {
            nextHandler += 1
            if !cancelled { handlers[nextHandler] = handler }
            return (nextHandler, cancelled)
        }
        if already { handler() }
        defer {
            lock.withLock {
                handlers.removeValue(forKey: key)
                while running.contains(key) { _ = lock.wait(until: nil) }
            }
        }
        return body()
    }
}
