import Configuration

/// `sending_queue`: keys and defaults of the Go collector. The queue counts batches; their bytes are bounded by the exporter's share of the
/// memory budget.
///
/// Two values of the Go collector are refused, because they would change what is promised to clients. Without a queue
/// (`enabled: false`) a request would wait for the destination before it is answered; here it waits for the write-ahead log, which also
/// gives what that setting is used for: nothing answered is lost. `block_on_overflow` would stop the threads that serve all connections;
/// with the write-ahead log a full queue refuses nobody, the rest waits in the log.
public struct ExportQueueConfig: Sendable, Equatable {
    public var numConsumers = 10
    public var queueSize = 1000

    public init(numConsumers: Int = 10) {
        self.numConsumers = numConsumers
    }

    /// - Parameter numConsumers: the exporter's own default.
    public init(from section: ConfigSection?, numConsumers: Int = 10) {
        self.numConsumers = numConsumers
        guard let section else { return }
        if !section.bool("enabled", default: true) {
            section.problem(
                "the queue cannot be switched off (queue_size: 1 is the smallest); service.write_ahead_log keeps what is in it",
                at: "enabled")
        }
        if section.bool("block_on_overflow", default: false) {
            section.problem(
                "blocking is not supported: with service.write_ahead_log what a full queue does not take waits in the log",
                at: "block_on_overflow")
        }
        self.numConsumers = section.int("num_consumers", default: numConsumers, in: 1...100)
        queueSize = section.int("queue_size", default: queueSize, in: 1...1_000_000)
        section.finish()
    }
}
