import Logging

/// A stage that can be replaced while the collector runs.
public protocol RetiringStage<Batch>: Consumer, Component {
    /// Delivers what it holds until `deadline` and ends; used instead of `shutdown`. Returns what it could not deliver, oldest first, for
    /// its successor; what may have reached an exporter's destination is marked in doubt.
    func retire(deadline: ContinuousClock.Instant) async -> [Batch]

    /// Whether what `retire` returns is this stage's own work still to be done: then it is for the stage of the same id that replaces it,
    /// otherwise for the stage after it.
    var leavesWorkUndone: Bool { get }

    /// Told of the stage of the same id that it replaces, before its first batch comes. That one goes on until it is retired.
    func succeed(_ former: any Component)
}

extension RetiringStage {
    public var leavesWorkUndone: Bool { false }

    public func succeed(_ former: any Component) {}

    /// For a processor's `shutdown`, which has no successor: what is left stays in the write-ahead log, or is lost without it. Both is
    /// logged.
    public func giveUp(_ left: [Batch], logger: Logger?) {
        let items = left.reduce(0) { $0 + $1.itemCount }
        guard items > 0 else { return }
        let kept = left.reduce(0) { $0 + $1.keepInLog() }
        if kept > 0 {
            logger?.warning(
                "not taken before the stop: left in the write-ahead log for the next start",
                metadata: ["component": "\(id)", "items": "\(kept)"])
        }
        if items > kept {
            logger?.error("given up at shutdown, data is lost", metadata: ["component": "\(id)", "items": "\(items - kept)"])
        }
    }
}
