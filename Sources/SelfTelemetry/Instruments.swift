import Synchronization

/// A monotonic sum. Cheap enough for once per request or batch; per-span loops sum locally and add once.
public final class Counter: Sendable {
    private let total = Atomic<Int>(0)

    public init() {}

    public var value: Int { total.load(ordering: .relaxed) }

    public func add(_ amount: Int = 1) {
        total.wrappingAdd(amount, ordering: .relaxed)
    }
}

/// A value that goes up and down.
public final class Gauge: Sendable {
    private let current = Atomic<Int>(0)

    public init() {}

    public var value: Int { current.load(ordering: .relaxed) }

    public func set(_ value: Int) {
        current.store(value, ordering: .relaxed)
    }

    public func add(_ amount: Int) {
        current.wrappingAdd(amount, ordering: .relaxed)
    }
}

/// Counts of observations between fixed upper bounds, with their sum, as Prometheus classic histograms want them.
public final class Histogram: Sendable {
    public struct Snapshot: Sendable, Equatable {
        /// Observations per bucket, not cumulative; one more than there are bounds.
        public var counts: [Int]
        public var sum: Double
    }

    /// Upper bounds, ascending; observations above the last go to the implicit `+Inf` bucket.
    public let bounds: [Double]
    private let state: Mutex<Snapshot>

    /// Seconds, for request and export durations.
    public static let durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    /// Items per batch: the Go collector's bounds for `batch_send_size`.
    public static let sizeBounds: [Double] = [
        10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 20000, 30000, 50000, 100_000,
    ]

    public init(bounds: [Double]) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "histogram bounds must ascend")
        self.bounds = bounds
        state = Mutex(Snapshot(counts: Array(repeating: 0, count: bounds.count + 1), sum: 0))
    }

    public func observe(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock {
            $0.counts[bucket] += 1
            $0.sum += value
        }
    }

    public var snapshot: Snapshot { state.withLock { $0 } }
}
