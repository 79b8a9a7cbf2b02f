import Configuration

/// `retry_on_failure`: exponential back-off with jitter, keys and defaults of the Go collector.
public struct RetryConfig: Sendable, Equatable {
    public var enabled = true
    public var initialInterval = Duration.seconds(5)
    public var maxInterval = Duration.seconds(30)
    public var multiplier = 1.5
    public var randomizationFactor = 0.5
    /// Zero = for ever. Nil = not configured: see `filled`.
    public var maxElapsedTime: Duration?

    public init() {}

    /// Without the write-ahead log a batch is given up after this time, as in the Go collector: the queue is in memory.
    public static let maxElapsedTimeInMemory = Duration.seconds(300)

    /// With the default of `max_elapsed_time` filled in.
    ///
    /// - Parameter isDurable: the write-ahead log is on, so that nothing needs to be given up for those who come after.
    public func filled(isDurable: Bool) -> RetryConfig {
        var config = self
        config.maxElapsedTime = maxElapsedTime ?? (isDurable ? .zero : Self.maxElapsedTimeInMemory)
        return config
    }

    public init(from section: ConfigSection?) {
        guard let section else { return }
        enabled = section.bool("enabled", default: enabled)
        initialInterval = section.duration("initial_interval", default: initialInterval)
        maxInterval = section.duration("max_interval", default: maxInterval)
        multiplier = section.double("multiplier", default: multiplier, in: 1...100)
        randomizationFactor = section.double("randomization_factor", default: randomizationFactor, in: 0...1)
        maxElapsedTime = section.duration("max_elapsed_time")
        if maxInterval < initialInterval {
            section.problem("max_interval must not be shorter than initial_interval", at: "max_interval")
        }
        section.finish()
    }
}

/// The waits of one batch; pure, with clock and randomness passed in.
struct RetryState {
    let config: RetryConfig
    private let start: ContinuousClock.Instant
    private var interval: Duration

    init(config: RetryConfig, now: ContinuousClock.Instant) {
        self.config = config
        start = now
        interval = config.initialInterval
    }

    /// How long to wait before the next attempt, or nil to give up.
    ///
    /// - Parameters:
    ///   - random: uniform in 0..<1.
    ///   - after: what the peer asked for; never undercut.
    mutating func nextWait(now: ContinuousClock.Instant, random: Double, after: Duration?) -> Duration? {
        guard config.enabled else { return nil }
        let jitter = 1 + config.randomizationFactor * (2 * random - 1)
        let wait = max(interval * jitter, after ?? .zero, PipelineLimits.retryWaitMin)
        interval = min(interval * config.multiplier, config.maxInterval)
        let most = config.maxElapsedTime ?? RetryConfig.maxElapsedTimeInMemory
        if most > .zero, (now + wait) - start > most { return nil }
        return wait
    }
}
