/// Bounds of the aggregates' column `duration_histogram`, in milliseconds: log-spaced, 1 ms to 10 min. Bucket i counts
/// durations below bound i (and not below the one before); one more counts the rest. Part of the database contract.
enum DurationHistogram {
    static let boundsMilliseconds: [Int] = [
        1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000,
        10_000, 15_000, 20_000, 30_000, 50_000, 70_000, 100_000, 150_000, 200_000, 300_000, 500_000, 600_000,
    ]
}
