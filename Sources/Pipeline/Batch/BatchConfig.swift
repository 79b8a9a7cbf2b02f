import Configuration

/// `processors.batch`: keys and defaults of the Go collector.
public struct BatchConfig: Sendable {
    public var settings: BatchSettings

    public init(from section: ConfigSection) {
        let size = section.int("send_batch_size", default: 8192, in: 0...10_000_000)
        let max = section.int("send_batch_max_size", default: 0, in: 0...10_000_000)
        let timeout = section.duration("timeout", default: .milliseconds(200))
        if max > 0, max < size {
            section.problem("send_batch_max_size (\(max)) must not be smaller than send_batch_size (\(size))", at: "send_batch_max_size")
        }
        section.finish()
        settings = BatchSettings(sizeItems: size, maxItems: max > 0 ? Swift.max(max, size) : 0, timeout: timeout)
    }
}
