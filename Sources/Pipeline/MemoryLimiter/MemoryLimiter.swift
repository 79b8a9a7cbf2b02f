import SelfTelemetry

/// The `memory_limiter` processor. Its limit is the whole process's (`MemoryBudget`), which receivers ask before they take in or
/// decompress anything; in the pipeline it makes whoever feeds it wait while the limit is reached.
///
/// A batch that has come this far is counted already, and sending it away would make the client send it again: it is passed on.
public final class MemoryLimiter<Batch: TelemetryBatch>: Consumer, Component {
    public let id: String
    private let budget: MemoryBudget
    private let next: any Consumer<Batch>
    private let accepted: Counter
    private let refused: Counter

    /// - Parameter itemName: `spans`, `metric_points` or `log_records`, as the metric names have it.
    public init(id: String, itemName: String, budget: MemoryBudget, next: any Consumer<Batch>, registry: MetricRegistry) {
        self.id = id
        self.budget = budget
        self.next = next
        let labels = [(name: "processor", value: id)]
        accepted = registry.counter(
            "otelcol_processor_memory_limiter_accepted_\(itemName)_total", help: "Items pushed into the next component.", labels: labels)
        refused = registry.counter(
            "otelcol_processor_memory_limiter_refused_\(itemName)_total", help: "Items that the next component refused.", labels: labels)
    }

    public var health: ComponentHealth { .ok }

    public var admission: Outcome {
        let outcome = budget.admission()
        return outcome == .accepted ? next.admission : outcome
    }

    public func consume(_ batch: Batch) -> Outcome {
        let items = batch.itemCount
        let outcome = next.consume(batch)
        (outcome == .accepted ? accepted : refused).add(items)
        return outcome
    }

    public func start() async throws {}

    public func shutdown(deadline: ContinuousClock.Instant) async {}
}
