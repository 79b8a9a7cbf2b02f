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

    /// Called when an open gate was closed by `invalidate`; must see to it that it opens again.
    private var onInvalid: (@Sendable () -> Void)?

    func whenInvalid(_ body: @escaping @Sendable () -> Void) { lock.withLock { onInvalid = body } }

    /// A writer found that the schema is not in place any more. Without anybody to open the gate again it stays open.
    func invalidate(_ problem: ExportProblem) {
        let prepare = lock.withLock { () -> (@Sendable () -> Void)? in
            guard case .open = state, let onInvalid else { return nil }
            state = .closed(problem)
            return onInvalid
        }
        prepare?()
    }

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
