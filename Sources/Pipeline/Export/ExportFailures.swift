import Logging
import SelfTelemetry
import Synchronization

/// Counts an exporter's failed attempts by kind, and says why, at most every ten seconds for each kind.
final class ExportFailures: Sendable {
    /// Items that the destination refused for good and that are in the dead-letter file.
    let saved: InternalEvent
    private let registry: MetricRegistry
    private let exporter: String
    private let logger: Logger
    /// By kind, made when it first happens.
    private let events = Mutex<[String: InternalEvent]>([:])

    init(registry: MetricRegistry, exporter: String, logger: Logger) {
        self.registry = registry
        self.exporter = exporter
        self.logger = logger
        saved = InternalEvent(
            counter: registry.counter(
                "collector_exporter_dead_lettered_items_total", help: "Refused items put into the dead-letter file.",
                labels: [(name: "exporter", value: exporter)]),
            logger: logger, level: .warning, message: "the destination refused items, they are in the dead-letter file")
    }

    /// - Parameter wait: until the next attempt; nil when there is none.
    func note(_ problem: ExportProblem, items: Int, wait: Duration?) {
        event(problem.kind).emit(
            metadata: ["reason": "\(problem)", "items": "\(items)", "wait": "\(wait.map { "\($0)" } ?? "none, given up")"])
    }

    /// A failure that is said elsewhere.
    func count(_ problem: ExportProblem) { event(problem.kind).counter.add() }

    private func event(_ kind: String) -> InternalEvent {
        events.withLock { events in
            if let known = events[kind] { return known }
            let counter = registry.counter(
                "collector_exporter_failures_total", help: "Failed attempts to export a batch, by kind of failure.",
                labels: [(name: "exporter", value: exporter), (name: "kind", value: kind)])
            let made = InternalEvent(counter: counter, logger: logger, level: .warning, message: "export failed")
            events[kind] = made
            return made
        }
    }
}
