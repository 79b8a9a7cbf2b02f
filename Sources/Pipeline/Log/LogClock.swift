import Glibc

/// The log's view of time, passed in.
struct LogClock: Sendable {
    /// Unix nanoseconds; may jump.
    var wall: @Sendable () -> UInt64
    /// Nanoseconds that never jump, for ages.
    var monotonic: @Sendable () -> Int64

    static let system = LogClock(
        wall: { UInt64(clamping: read(CLOCK_REALTIME)) },
        monotonic: { read(CLOCK_MONOTONIC) })

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The monotonic time of an event in the past; now when the wall clock has been set back since.
    func monotonicTime(ofUnixNano then: UInt64) -> Int64 {
        let now = wall()
        return monotonic() - Int64(clamping: now > then ? now - then : 0)
    }

    /// Unix nanoseconds of a monotonic time.
    func unixNano(ofMonotonic time: Int64) -> UInt64 {
        let age = UInt64(clamping: monotonic() - time)
        let now = wall()
        return now > age ? now - age : 0
    }
}
