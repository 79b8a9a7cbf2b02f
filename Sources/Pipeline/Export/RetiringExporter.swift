/// An exporter that can be replaced while the collector runs.
public protocol RetiringExporter<Batch>: Consumer, Component {
    /// Delivers what it holds until `deadline` and ends; used instead of `shutdown`. Returns what it could not deliver, oldest first and
    /// marked in doubt, for its successor.
    func retire(deadline: ContinuousClock.Instant) async -> [Batch]
}
