import SelfTelemetry

/// Where an exporter's workers wait while their circuit is open, and between attempts.
final class CircuitGate: @unchecked Sendable {
    private let lock = ConditionLock()
    private var breaker: CircuitBreaker
    private let opened: Counter
    private var isCancelled = false

    init(config: CircuitBreakerConfig, registry: MetricRegistry, exporter: String) {
        breaker = CircuitBreaker(config: config)
        let labels = [(name: "exporter", value: exporter)]
        opened = registry.counter(
            "collector_exporter_circuit_opened_total", help: "Times the circuit breaker opened.", labels: labels)
        registry.observe(
            "collector_exporter_circuit_state", help: "Circuit breaker: 0 closed, 1 half open, 2 open.", labels: labels
        ) { [weak self] in self?.stateNumber }
    }

    private var stateNumber: Double {
        switch lock.withLock({ breaker.state }) {
        case .closed: 0
        case .halfOpen: 1
        case .open: 2
        }
    }

    /// What the operator should know beside the last failure; nil while the circuit is closed.
    var note: String? {
        lock.withLock { breaker.isClosed ? nil : "attempts are paused, one is made every \(breaker.config.openFor)" }
    }

    /// Waits until an attempt may be made; false when the exporter's time is over. After `true` one of the `ended` calls follows.
    func pass() -> Bool {
        lock.withLock {
            while !isCancelled {
                switch breaker.ask(now: .now) {
                case .go: return true
                case .wait(let until): _ = lock.wait(until: until)
                }
            }
            return false
        }
    }

    func succeeded() {
        lock.withLock {
            breaker.attemptSucceeded()
            lock.broadcast()
        }
    }

    /// - Returns: whether the circuit opened now.
    func failed(after: Duration?) -> Bool {
        lock.withLock {
            let hasOpened = breaker.attemptFailed(now: .now, after: after)
            if hasOpened { opened.add() }
            lock.broadcast()
            return hasOpened
        }
    }

    func abandoned() {
        lock.withLock {
            breaker.attemptAbandoned()
            lock.broadcast()
        }
    }

    /// A worker's wait between two attempts at its batch. With the circuit open the wait is left to `pass`: the next attempt comes as soon
    /// as the circuit lets it through, also when the batch's own wait would be longer, so that all are back when the first one is.
    func pause(_ duration: Duration) {
        let deadline = ContinuousClock.now + duration
        lock.withLock { while !isCancelled, breaker.isClosed, lock.wait(until: deadline) {} }
    }

    /// Lets nobody wait any more.
    func cancel() {
        lock.withLock {
            isCancelled = true
            lock.broadcast()
        }
    }
}
