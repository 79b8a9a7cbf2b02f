/// A stage that can be replaced while the collector runs.
public protocol RetiringStage<Batch>: Consumer, Component {
    /// Delivers what it holds until `deadline` and ends; used instead of `shutdown`. Returns what it could not deliver, oldest first, for
    /// its successor; what may have reached an exporter's destination is marked in doubt.
    func retire(deadline: ContinuousClock.Instant) async -> [Batch]
}
