/// What is to happen at given times, in order of those times: everything waits equally long, so a queue does what a timer wheel would.
///
/// What has lost its meaning meanwhile stays in it; `generation` tells. When most of it has, it is cleaned, so that the queue is never
/// much longer than the table of traces, however many traces are decided about early.
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
            entries.removeAll(keepingCapacity: entries.capacity <= Self.keptEntries)
            head = 0
        } else if head * 2 >= entries.count {
            // Half of it is past: constant cost per entry.
            if entries.capacity > max(4 * count, Self.keptEntries) {
                entries = Array(entries[head...])
            } else {
                entries.removeSubrange(..<head)
            }
            head = 0
        }
        return first
    }

    /// Leaves out what has lost its meaning if that is more than half of the queue: constant cost per entry.
    ///
    /// - Parameter live: how many entries have not, at most.
    mutating func clean(live: Int, _ isLive: (Entry) -> Bool) {
        guard count > Self.keptEntries, count / 2 > live else { return }
        // In memory of its own size.
        entries = Array(entries[head...].filter(isLive))
        head = 0
    }

    /// Entries that are too few to be worth a cleaning.
    static let keptEntries = 4096
}
