/// When to send: as the Go collector's batch processor.
public struct BatchSettings: Sendable, Equatable {
    /// Items that make a batch go at once.
    public var sizeItems: Int
    /// Items that no batch exceeds; 0 = no bound.
    public var maxItems: Int
    /// A batch waits for more items this long at most; zero = it never waits.
    public var timeout: Duration

    public init(sizeItems: Int, maxItems: Int = 0, timeout: Duration) {
        precondition(sizeItems >= 0 && (maxItems == 0 || maxItems >= sizeItems))
        self.sizeItems = sizeItems
        self.maxItems = maxItems
        self.timeout = timeout
    }
}

/// Decides when collected items are sent on; pure, the owner runs the timer.
struct BatchAssembler<Batch: TelemetryBatch> {
    let settings: BatchSettings
    private var pending: Batch?
    /// Names the batch that is being filled, so that the timer of one that left by size does not cut the next one short.
    private(set) var generation = 0

    init(settings: BatchSettings) {
        self.settings = settings
    }

    var pendingItemCount: Int { pending?.itemCount ?? 0 }

    /// - Returns: batches to send now, and whether a timer of `settings.timeout` must be started for `generation`.
    mutating func add(_ batch: Batch) -> (send: [Batch], startTimer: Bool) {
        let wasEmpty = pending == nil
        if wasEmpty { pending = batch } else { pending?.append(batch) }
        var send: [Batch] = []
        while let count = pending?.itemCount, count >= max(settings.sizeItems, 1) || settings.timeout == .zero {
            guard var whole = take() else { break }
            if settings.maxItems > 0, count > settings.maxItems {
                send.append(whole.removeFirst(settings.maxItems))
                pending = whole
            } else {
                send.append(whole)
            }
        }
        guard pending != nil, wasEmpty || !send.isEmpty else { return (send, false) }
        generation += 1
        return (send, true)
    }

    /// The timer of `generation` has run out.
    mutating func timerFired(generation: Int) -> Batch? {
        generation == self.generation ? take() : nil
    }

    mutating func take() -> Batch? {
        defer { pending = nil }
        return pending
    }
}
