/// Allows `capacity` events at once and as many again per window, spread evenly (the generic cell rate algorithm: one
/// number of state, no timer). Time is passed in, nanoseconds of any monotonic clock.
struct TokenBucket {
    private let windowNanoseconds: UInt64
    private let costNanoseconds: UInt64
    /// When the bucket will be full again; not after now means full.
    private var fullAt: UInt64 = 0

    /// - Parameters:
    ///   - capacity: events, at least 1.
    ///   - windowNanoseconds: time in which an empty bucket fills.
    init(capacity: Int, windowNanoseconds: UInt64) {
        self.windowNanoseconds = windowNanoseconds
        costNanoseconds = windowNanoseconds / UInt64(max(1, capacity))
    }

    /// Takes one token. False when there is none: the event is over the limit.
    mutating func take(now: UInt64) -> Bool {
        let next = max(fullAt, now) + costNanoseconds
        guard next <= now + windowNanoseconds else { return false }
        fullAt = next
        return true
    }

    /// Puts tokens back, up to the capacity.
    mutating func give(_ tokens: Int) {
        let credit = costNanoseconds * UInt64(max(0, tokens))
        fullAt = fullAt > credit ? fullAt - credit : 0
    }
}
