/// Which span starts are believed. A span that claims to have started outside gets its arrival time as `ts`, so that a
/// broken clock cannot create thousands of chunks; the claimed start stays in `start_unix_nano`.
///
/// Judged against the arrival time and not the clock, so that a span written again later comes out the same.
struct TimestampWindow: Sendable, Equatable {
    /// Nanoseconds before and after the arrival.
    let pastNano: UInt64
    let futureNano: UInt64

    /// Negative durations count as zero.
    init(past: Duration, future: Duration) {
        pastNano = Self.nanoseconds(past)
        futureNano = Self.nanoseconds(future)
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = UInt64(max(seconds, 0)).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : whole &+ UInt64(max(attoseconds, 0) / 1_000_000_000)
    }

    /// Unix nanoseconds; both of 64 bits unsigned reach the year 2554, which every database here can hold.
    @inline(__always)
    func contains(_ start: UInt64, arrival: UInt64) -> Bool {
        if start == 0 { return false }
        return start <= arrival ? arrival - start <= pastNano : start - arrival <= futureNano
    }
}
