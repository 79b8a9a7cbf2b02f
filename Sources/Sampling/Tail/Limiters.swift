import Glibc

/// `rate_limiting` and `bytes_limiting`: a bucket that fills with time; pure, time passed in.
struct TokenBucketLimiter {
    /// Units per second.
    let rate: Double
    /// Most units that wait.
    let capacity: Double
    private var tokens: Double
    private var last: Duration?

    init(rate: Double, capacity: Double) {
        self.rate = rate
        self.capacity = capacity
        tokens = capacity
    }

    /// Takes `units` out, or nothing when there are not that many.
    ///
    /// - Parameter now: monotonic; a step back counts as no time.
    mutating func take(_ units: Double, now: Duration) -> Bool {
        if let last, now > last { tokens = min(capacity, tokens + (now - last) / .seconds(1) * rate) }
        last = max(now, last ?? now)
        guard tokens >= units else { return false }
        tokens -= units
        return true
    }
}

/// `rate_limiting` as the Go collector has it: spans per second of the clock, counted anew each second.
struct SecondLimiter {
    let spansPerSecond: Int
    private var second: Int64 = .min
    private var used = 0

    init(spansPerSecond: Int) {
        self.spansPerSecond = spansPerSecond
    }

    var isFresh: Bool { used == 0 }

    /// Whether a trace of that many spans still fits into this second; a trace larger than the limit never does.
    mutating func take(_ spans: Int, now: Duration) -> Bool {
        if now.components.seconds > second {
            second = now.components.seconds
            used = 0
        }
        guard used + spans <= spansPerSecond else { return false }
        used += spans
        return true
    }
}

/// `composite`: sub-policies in order, each with a share of the spans per second.
struct CompositeLimiter: Sendable {
    struct Part: Sendable {
        let name: String
        let node: PolicyNode
        let spansPerSecond: Int
    }

    let parts: [Part]
    let maxSpansPerSecond: Int
}
