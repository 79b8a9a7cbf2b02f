import Configuration

/// `processors.groupbytrace`: keys and defaults of the Go collector's processor.
public struct GroupByTraceConfig: Sendable {
    /// How long a trace is held, from its first span on.
    public var waitDuration = Duration.seconds(1)
    /// Traces held at most. With one more the oldest leaves early; no span is ever dropped for it.
    public var tracesMax = 1_000_000

    public init(waitDuration: Duration, tracesMax: Int) {
        self.waitDuration = waitDuration
        self.tracesMax = tracesMax
    }

    public init(from section: ConfigSection) {
        waitDuration = section.duration("wait_duration", default: waitDuration)
        tracesMax = section.int("num_traces", default: tracesMax, in: 1...100_000_000)
        // Grouping happens on the threads that bring the spans, so there are no workers to count.
        _ = section.int("num_workers", in: 1...1_024)
        for key in ["discard_orphans", "store_on_disk"] where section.bool(key, default: false) {
            section.problem("is not supported (nor by the Go collector)", at: key)
        }
        section.finish()
    }
}
