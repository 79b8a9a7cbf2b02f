/// `rate_limiting` and `bytes_limiting`: a bucket that fills with time, as the Go collector has it; pure, time passed in.
///
/// Shards have equal parts of rate and capacity. A trace that would fit into the whole bucket but not into a shard's part is let
/// through when the part is full, and is paid off afterwards: else large traces would pass with one core and not with eight.
struct TokenBucketLimiter {
    /// Units per second and the most that wait, of this part.
    let rate: Double
    let capacity: Double
    private let wholeCapacity: Double
    private var tokens: Double
    /// Nanoseconds.
    private var last: Int64?

    init(rate: Double, capacity: Double, parts: Int = 1) {
        self.rate = rate / Double(max(parts, 1))
        self.capacity = capacity / Double(max(parts, 1))
        wholeCapacity = capacity
        tokens = self.capacity
    }

    /// Whether `take` would succeed.
    ///
    /// - Parameter now: monotonic nanoseconds; a step back counts as no time.
    func hasRoom(_ units: Double, now: Int64) -> Bool { units <= wholeCapacity && filled(now) >= min(units, capacity) }

    /// Takes `units` out, or nothing when there are not that many.
    mutating func take(_ units: Double, now: Int64) -> Bool {
        let isTaken = hasRoom(units, now: now)
        tokens = filled(now) - (isTaken ? units : 0)
        last = max(now, last ?? now)
        return isTaken
    }

    private func filled(_ now: Int64) -> Double {
        guard let last, now > last else { return tokens }
        return min(capacity, tokens + Double(now - last) / 1e9 * rate)
    }
}

/// Spans per second of the clock, counted anew each second: how `composite` counts in the Go collector. Parts as with the bucket.
struct SecondLimiter {
    /// Of this part.
    let spansPerSecond: Double
    private let wholeSpansPerSecond: Double
    private var second: Int64?
    private var used = 0.0

    init(spansPerSecond: Int, parts: Int = 1) {
        self.spansPerSecond = Double(spansPerSecond) / Double(max(parts, 1))
        wholeSpansPerSecond = Double(spansPerSecond)
    }

    /// Whether a trace of that many spans still fits into this second; a trace larger than the limit never does.
    func hasRoom(_ spans: Int, now: Int64) -> Bool {
        let spans = Double(spans)
        return spans <= wholeSpansPerSecond && used(now) + min(spans, spansPerSecond) <= spansPerSecond
    }

    mutating func take(_ spans: Int, now: Int64) -> Bool {
        let isTaken = hasRoom(spans, now: now)
        used = used(now) + (isTaken ? Double(spans) : 0)
        second = max(Self.second(now), second ?? .min)
        return isTaken
    }

    /// What was taken beyond a second's part is taken from the next ones.
    private func used(_ now: Int64) -> Double {
        guard let second, Self.second(now) > second else { return used }
        return max(0, used - Double(Self.second(now) - second) * spansPerSecond)
    }

    private static func second(_ now: Int64) -> Int64 { now / 1_000_000_000 }
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
