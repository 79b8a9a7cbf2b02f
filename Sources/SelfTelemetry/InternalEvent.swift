import Logging
import Synchronization

/// Something worth both a count and a log line, as one thing: whoever counts it cannot forget to say it, and the other way round.
///
/// Every occurrence is counted. The line is written at most once per `interval`, with the number of occurrences since the last one,
/// so that trouble which repeats a thousand times a second stays readable.
public final class InternalEvent: Sendable {
    /// A line per ten seconds and kind of event.
    public static let intervalDefault = Duration.seconds(10)

    private struct State {
        var lastLine: ContinuousClock.Instant?
        var unsaid = 0
    }

    public let counter: Counter
    private let logger: Logger
    private let level: Logger.Level
    private let message: Logger.Message
    private let interval: Duration
    private let state = Mutex(State())

    /// - Parameters:
    ///   - level: ERROR when data was lost, WARN when somebody should look, INFO for steps of the life cycle.
    ///   - message: a fixed sentence; what varies goes into the metadata, and neither may hold user data.
    public init(
        counter: Counter, logger: Logger, level: Logger.Level, message: Logger.Message, interval: Duration = InternalEvent.intervalDefault
    ) {
        self.counter = counter
        self.logger = logger
        self.level = level
        self.message = message
        self.interval = interval
    }

    /// - Parameters:
    ///   - count: how much the counter grows: items lost, requests refused.
    ///   - metadata: made only when a line is written.
    public func emit(
        _ count: Int = 1, now: ContinuousClock.Instant = .now, metadata: @autoclosure () -> Logger.Metadata = [:]
    ) {
        counter.add(count)
        let said: Int? = state.withLock { state in
            state.unsaid += count
            if let last = state.lastLine, now - last < interval { return nil }
            defer { state = State(lastLine: now, unsaid: 0) }
            return state.unsaid
        }
        guard let said else { return }
        logger.log(level: level, message, metadata: metadata().merging(["count": "\(said)"]) { own, _ in own })
    }
}
