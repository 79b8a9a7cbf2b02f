/// What is to happen at given times, in order of those times: everything waits equally long, so a queue does what a timer wheel would.
///
/// What has lost its meaning meanwhile stays in it until its time; `generation` tells.
struct DueQueue {
    struct Entry: BitwiseCopyable {
        /// Of a trace in its pool.
        let place: Int32
        let generation: UInt32
        /// Nanoseconds on the sampler's clock.
        let deadline: Int64
    }

    private var entries: [Entry] = []
    private var head = 0

    var first: Entry? { head < entries.count ? entries[head] : nil }
    var count: Int { entries.count - head }
    var byteCount: Int { entries.capacity * MemoryLayout<Entry>.stride }

    /// - Precondition: no entry in the queue has a later deadline.
    mutating func append(_ entry: Entry) { entries.append(entry) }

    mutating func popFirst() -> Entry? {
        guard let first else { return nil }
        head += 1
        if head == entries.count {
            // A burst's memory is not kept.
            if head > Self.keptEntries { entries = [] } else { entries.removeAll(keepingCapacity: true) }
            head = 0
        } else if head * 2 >= entries.count {
            // Half of it is past: constant cost per entry.
            entries.removeSubrange(..<head)
            head = 0
        }
        return first
    }

    private static let keptEntries = 4096
}
