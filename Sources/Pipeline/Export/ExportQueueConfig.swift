import Configuration

/// `sending_queue`: keys and defaults of the Go collector. The queue counts batches; their bytes are bounded by the
/// process's memory budget.
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
            section.problem("the queue cannot be switched off; queue_size: 1 is the smallest", at: "enabled")
        }
        if section.bool("block_on_overflow", default: false) {
            section.problem("a full queue refuses, so that clients send again; blocking is not supported", at: "block_on_overflow")
        }
        self.numConsumers = section.int("num_consumers", default: numConsumers, in: 1...100)
        queueSize = section.int("queue_size", default: queueSize, in: 1...1_000_000)
        section.finish()
    }
}
