import Configuration

/// `circuit_breaker`: when an exporter stops hammering a destination that fails.
public struct CircuitBreakerConfig: Sendable, Equatable {
    /// Failed attempts in a row, of all workers together, that open the circuit; 0 = it never opens.
    public var failureThreshold = 5
    /// Time without any attempt. Short, since it is also how long the destination can be back without being used: one attempt in
    /// five seconds is no burden to a server, and the queue or the log holds what comes meanwhile.
    public var openFor = Duration.seconds(5)
    /// Attempts let through at once after that; as many successes in a row close the circuit, one failure opens it again.
    public var halfOpenRequests = 1

    public init() {}

    public static var never: CircuitBreakerConfig {
        var config = CircuitBreakerConfig()
        config.failureThreshold = 0
        return config
    }

    public init(from section: ConfigSection?) {
        guard let section else { return }
        failureThreshold = section.int("failure_threshold", default: failureThreshold, in: 0...1_000)
        openFor = section.duration("open_for", default: openFor)
        halfOpenRequests = section.int("half_open_requests", default: halfOpenRequests, in: 1...100)
        if openFor <= .zero { section.problem("must be longer than 0; failure_threshold: 0 switches the breaker off", at: "open_for") }
        section.finish()
    }
}
