/// What became of a batch. Decided where the refusal is born and carried unchanged to the client; the receiver maps it to
/// gRPC and HTTP status in one place.
public enum Outcome: Sendable, Equatable {
    /// The pipeline has taken responsibility for the batch.
    case accepted
    /// Not taken, nothing was stored: the client should send it again, not before `after` when that is known.
    case retryable(Refusal, after: Duration?)
    /// Not taken, and sending it again will not help.
    case permanent(Refusal)
}

/// Why a batch was not taken: a metric label and, as `message`, a sentence for the client.
public enum Refusal: String, Sendable, Equatable, CaseIterable {
    case queueFull = "queue_full"
    case memoryLimit = "memory_limit"
    case shuttingDown = "shutting_down"
    case noPipeline = "no_pipeline"
    case tooLarge = "too_large"
    case logFull = "log_full"
    case logUnavailable = "log_unavailable"
    case conditionFailed = "condition_failed"

    public var message: String {
        switch self {
        case .queueFull: "the sending queue is full; the exporter is slower than what comes in"
        case .memoryLimit: "the collector is at its memory limit"
        case .shuttingDown: "the collector is shutting down"
        case .noPipeline: "no pipeline is configured for this signal"
        case .tooLarge: "the request takes too much memory once it is processed"
        case .logFull: "the write-ahead log is full; the exporters are slower than what comes in"
        case .logUnavailable: "the write-ahead log cannot be written"
        case .conditionFailed: "a filter's condition could not be evaluated for a span, and its error_mode is propagate"
        }
    }
}
