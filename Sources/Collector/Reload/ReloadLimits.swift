/// Bounds of a reload.
enum ReloadLimits {
    /// How often it is looked whether a stage's last calls have come back: calls take microseconds.
    static let callPollInterval = Duration.milliseconds(1)
    /// How often what an exporter left is offered to its successor.
    static let offerInterval = Duration.milliseconds(50)
    /// Part of `shutdown_timeout` that replaced receivers may take to finish requests in flight.
    static let receiverShare = 0.3
    /// Part of `shutdown_timeout` after which replaced processors must have handed on what they hold.
    static let processorShare = 0.45
    /// Part of `shutdown_timeout` after which replaced exporters hand what is left to their successors. Counted from the reload's
    /// begin, so that a stop which comes right after it still has time to export that.
    static let exporterShare = 0.6
    /// Part of `shutdown_timeout` of a stop after which successors must have taken what replaced exporters left.
    static let inheritanceShare = 0.75
}
