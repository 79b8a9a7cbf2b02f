import Pipeline

/// Takes everything and keeps nothing: for measuring what comes before it.
public final class NopExporter<Batch: TelemetryBatch>: Consumer, Component {
    public let id: String

    public init(id: String) {
        self.id = id
    }

    public var health: ComponentHealth { .ok }
    public var admission: Outcome { .accepted }

    public func start() async throws {}
    public func consume(_ batch: Batch) -> Outcome { .accepted }
    public func shutdown(deadline: ContinuousClock.Instant) async {}
}
