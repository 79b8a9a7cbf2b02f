/// When to send: as the Go collector's batch processor.
public struct BatchSettings: Sendable, Equatable {
    /// Items that make a batch go at once.
    public var sizeItems: Int
    /// Items that no batch exceeds; 0 = no bound.
    public var maxItems: Int
    /// A batch waits for more items this long at most; zero = it never waits.
    public var timeout: Duration
    /// Stands in for `timeout` when nothing was sent for that long: the first items after a quiet time arrive at once, and a
    /// steady trickle still travels in batches. Nil = always `timeout`, as in the Go collector.
    public var quietTimeout: Duration?

    public init(sizeItems: Int, maxItems: Int = 0, timeout: Duration, quietTimeout: Duration? = nil) {
        precondition(sizeItems >= 0 && (maxItems == 0 || maxItems >= sizeItems))
        self.sizeItems = sizeItems
        self.maxItems = maxItems
        self.timeout = timeout
        self.quietTimeout = quietTimeout
    }
}

/// Decides when collected items are sent on; pure, the owner runs the timer and tells the time.
struct BatchAssembler<Batch: TelemetryBatch> {
    let settings: BatchSettings
    private var pending: Batch?
    private var lastSent: ContinuousClock.Instant?
    /// Names the batch that is being filled, so that the timer of one that left by size does not cut the next one short.
    private(set) var generation = 0

    init(settings: BatchSettings) {
        self.settings = settings
    }

    var pendingItemCount: Int { pending?.itemCount ?? 0 }

    /// - Returns: batches to send now, and how long from now a timer for `generation` must run when one must be started.
    mutating func add(_ batch: Batch, now: ContinuousClock.Instant) -> (send: [Batch], startTimer: Duration?) {
        // A request of which every span was refused: nothing to wait or to make a transaction for.
        guard batch.itemCount > 0 else { return ([], nil) }
        let wasEmpty = pending == nil
        if wasEmpty { pending = batch } else { pending?.append(batch) }
        let wait = timeout(now)
        var send: [Batch] = []
        while let count = pending?.itemCount, count >= max(settings.sizeItems, 1) || settings.timeout == .zero {
            guard var whole = take(now: now) else { break }
            if settings.maxItems > 0, count > settings.maxItems {
                send.append(whole.removeFirst(settings.maxItems))
                pending = whole
            } else {
                send.append(whole)
            }
        }
        guard pending != nil, wasEmpty || !send.isEmpty else { return (send, nil) }
        generation += 1
        return (send, send.isEmpty ? wait : settings.timeout)
    }

    private func timeout(_ now: ContinuousClock.Instant) -> Duration {
        guard let quiet = settings.quietTimeout else { return settings.timeout }
        guard let lastSent else { return min(quiet, settings.timeout) }
        return now - lastSent >= settings.timeout ? min(quiet, settings.timeout) : settings.timeout
    }

    /// The timer of `generation` has run out.
    mutating func timerFired(generation: Int, now: ContinuousClock.Instant) -> Batch? {
        generation == self.generation ? take(now: now) : nil
    }

    mutating func take(now: ContinuousClock.Instant) -> Batch? {
        defer {
            if pending != nil { lastSent = now }
            pending = nil
        }
        return pending
    }
}
