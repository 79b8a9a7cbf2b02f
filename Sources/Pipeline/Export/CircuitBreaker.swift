/// Whether an exporter's workers may try their destination. Pure, with the clock passed in; `CircuitGate` makes workers wait.
///
///     closed ── failureThreshold failures in a row ──▶ open ── openFor ──▶ half open ── halfOpenRequests successes ──▶ closed
///                                                       ▲                     │
///                                                       └──── one failure ────┘
struct CircuitBreaker {
    enum State: Equatable {
        /// - Parameter failures: in a row.
        case closed(failures: Int)
        case open(until: ContinuousClock.Instant)
        /// - Parameters: attempts that were let through and have not ended; successes in a row.
        case halfOpen(trying: Int, succeeded: Int)
    }

    enum Permit: Equatable {
        case go
        /// Ask again then, or when an attempt ends, whichever comes first; nil = when an attempt ends.
        case wait(until: ContinuousClock.Instant?)
    }

    let config: CircuitBreakerConfig
    private(set) var state = State.closed(failures: 0)

    init(config: CircuitBreakerConfig) {
        self.config = config
    }

    var isClosed: Bool { if case .closed = state { true } else { false } }

    /// Asks for an attempt; after `go` one of the `…Ended` calls must follow.
    mutating func ask(now: ContinuousClock.Instant) -> Permit {
        switch state {
        case .closed:
            return .go
        case .open(let until):
            guard now >= until else { return .wait(until: until) }
            state = .halfOpen(trying: 1, succeeded: 0)
            return .go
        case .halfOpen(let trying, let succeeded):
            guard trying + succeeded < config.halfOpenRequests else { return .wait(until: nil) }
            state = .halfOpen(trying: trying + 1, succeeded: succeeded)
            return .go
        }
    }

    /// The destination has answered: it took the batch, or refused it for its content.
    mutating func attemptSucceeded() {
        switch state {
        case .closed, .open:
            // Open: an attempt from before it opened; the destination lives.
            state = .closed(failures: 0)
        case .halfOpen(let trying, let succeeded):
            let isEnough = succeeded + 1 >= config.halfOpenRequests
            state = isEnough ? .closed(failures: 0) : .halfOpen(trying: max(trying - 1, 0), succeeded: succeeded + 1)
        }
    }

    /// - Parameter after: how long the destination wants to be left alone at least, when that is known.
    /// - Returns: whether the circuit opened now.
    mutating func attemptFailed(now: ContinuousClock.Instant, after: Duration?) -> Bool {
        guard config.failureThreshold > 0 else { return false }
        let until = now + max(config.openFor, after ?? .zero)
        switch state {
        case .closed(let failures):
            guard failures + 1 >= config.failureThreshold else {
                state = .closed(failures: failures + 1)
                return false
            }
            state = .open(until: until)
            return true
        case .open(let before):
            // An attempt from before it opened.
            state = .open(until: max(before, until))
            return false
        case .halfOpen:
            state = .open(until: until)
            return true
        }
    }

    /// The attempt was broken off and says nothing.
    mutating func attemptAbandoned() {
        if case .halfOpen(let trying, let succeeded) = state { state = .halfOpen(trying: max(trying - 1, 0), succeeded: succeeded) }
    }
}
