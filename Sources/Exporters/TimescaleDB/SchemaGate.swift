import Pipeline

/// What the schema in the database turned out to be.
struct SchemaFacts: Sendable, Equatable {
    /// Continuous aggregates that late rows make stale; empty on plain PostgreSQL, where the aggregates are views.
    var continuousAggregates: [Aggregate] = []
}

/// Writers wait here until the schema is known to be in place.
final class SchemaGate: @unchecked Sendable {
    private enum State {
        case closed(ExportProblem)
        case open(SchemaFacts)
    }

    private let lock = ConditionLock()
    private var state = State.closed(ExportProblem(kind: "schema", "the database has not been reached yet"))

    /// Why writers have to wait; nil when they need not.
    var problem: ExportProblem? {
        lock.withLock {
            if case .closed(let problem) = state { problem } else { nil }
        }
    }

    var facts: SchemaFacts? {
        lock.withLock {
            if case .open(let facts) = state { facts } else { nil }
        }
    }

    func open(_ facts: SchemaFacts) {
        lock.withLock {
            state = .open(facts)
            lock.broadcast()
        }
    }

    func close(_ problem: ExportProblem) {
        lock.withLock { state = .closed(problem) }
    }

    /// Makes those who wait look whether they are interrupted.
    func wake() {
        lock.withLock { lock.broadcast() }
    }

    /// Waits until the schema is there; returns why it is not after `duration`, or when interrupted.
    func wait(_ duration: Duration, _ interrupter: Interrupter) -> ExportProblem? {
        let deadline = ContinuousClock.now + duration
        return lock.withLock {
            while case .closed(let problem) = state {
                if interrupter.isInterrupted || !lock.wait(until: deadline) { return problem }
            }
            return nil
        }
    }
}
