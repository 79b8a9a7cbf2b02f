import Dispatch
import Logging
import Pipeline
import Synchronization

/// Refreshes the continuous aggregates for rows that came too late for their policies.
///
/// A policy looks back as far as its start offset; rows older than that would never reach the aggregate. Their ranges are
/// merged into one per aggregate (the server works only on what changed within it) and refreshed at most once per
/// `TimescaleDBLimits.refreshInterval`, outside a transaction, and never further back than retention: there the raw rows are gone
/// and a refresh would delete history.
final class AggregateRefresher: Sendable {
    private struct State {
        var pending = PendingRefreshes()
        var isScheduled = false
        var isStopping = false
        var lastRun: ContinuousClock.Instant?
    }

    private let config: TimescaleDBConfig
    private let schema: SchemaGate
    private let logger: Logger
    private let interrupter = Interrupter()
    private let queue = DispatchQueue(label: "aggregate-refresh")
    private let state = Mutex(State())

    init(config: TimescaleDBConfig, schema: SchemaGate, logger: Logger) {
        self.config = config
        self.schema = schema
        self.logger = logger
    }

    /// Rows with `ts` in this range, Unix microseconds, have been written. Called once per batch.
    func note(from earliest: Int64, to latest: Int64) {
        guard let facts = schema.facts, !facts.continuousAggregates.isEmpty else { return }
        let delay: Duration? = state.withLock { state in
            state.pending.add(
                from: earliest, to: latest, now: Self.nowMicroseconds(), retention: config.retention,
                aggregates: facts.continuousAggregates)
            guard !state.pending.isEmpty, !state.isScheduled, !state.isStopping else { return nil }
            state.isScheduled = true
            guard let lastRun = state.lastRun else { return .zero }
            return max(TimescaleDBLimits.refreshInterval - (ContinuousClock.now - lastRun), .zero)
        }
        if let delay { schedule(after: delay) }
    }

    private func schedule(after delay: Duration) {
        let milliseconds = Int(delay.components.seconds * 1_000 + delay.components.attoseconds / 1_000_000_000_000_000)
        queue.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [weak self] in self?.run() }
    }

    /// Refreshes what is pending now; on failure keeps it for later.
    private func run() {
        let pending = state.withLock { state in
            state.isScheduled = false
            state.lastRun = .now
            defer { state.pending = PendingRefreshes() }
            return state.pending
        }
        guard !pending.isEmpty else { return }
        do throws(DatabaseError) {
            let connection = try Connection(config.connection, interrupter: interrupter)
            let functions = try connection.query(
                "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'timescaledb'")
            guard let name = functions.first?[0] else { return }
            for call in pending.calls(functions: SQLIdentifier(name: name), config, now: Self.nowMicroseconds()) {
                try connection.query(call)
            }
        } catch {
            logger.warning("cannot refresh the aggregates for late spans, will try again", metadata: ["reason": "\(error.problem)"])
            let again = state.withLock { state in
                state.pending.merge(pending)
                guard !state.isScheduled, !state.isStopping else { return false }
                state.isScheduled = true
                return true
            }
            if again { schedule(after: TimescaleDBLimits.refreshInterval) }
        }
    }

    /// Refreshes what is pending, at once, and stops. After the writers have stopped.
    func shutdown(deadline: ContinuousClock.Instant) async {
        state.withLock { $0.isStopping = true }
        let watchdog = Task { [interrupter] in
            try? await Task.sleep(until: deadline, clock: .continuous)
            if !Task.isCancelled { interrupter.interrupt() }
        }
        await withCheckedContinuation { done in
            queue.async {
                self.run()
                done.resume()
            }
        }
        watchdog.cancel()
    }

    private static func nowMicroseconds() -> Int64 { UnixClock.nowMicroseconds() }
}

/// Ranges that wait to be refreshed, one per aggregate. Pure.
struct PendingRefreshes: Equatable {
    /// Unix microseconds.
    private var ranges: [Aggregate: ClosedRange<Int64>] = [:]

    var isEmpty: Bool { ranges.isEmpty }

    /// Adds the part of a written range that each aggregate's policy will not look at.
    mutating func add(from earliest: Int64, to latest: Int64, now: Int64, retention: Duration, aggregates: [Aggregate]) {
        guard earliest <= latest else { return }
        for aggregate in aggregates {
            // Two runs of the policy earlier: a row that is just inside now may be outside when the policy runs.
            let reach = aggregate.startOffset(retention: retention) - aggregate.bucket * 2
            let horizon = now - reach.microseconds
            guard earliest < horizon else { continue }
            merge(earliest...max(min(latest, horizon), earliest), into: aggregate)
        }
    }

    mutating func merge(_ other: PendingRefreshes) {
        for (aggregate, range) in other.ranges { merge(range, into: aggregate) }
    }

    private mutating func merge(_ range: ClosedRange<Int64>, into aggregate: Aggregate) {
        guard let known = ranges[aggregate] else {
            ranges[aggregate] = range
            return
        }
        ranges[aggregate] = min(known.lowerBound, range.lowerBound)...max(known.upperBound, range.upperBound)
    }

    /// The statements: whole buckets, and none that begins before what retention keeps. Small aggregates first.
    func calls(functions: SQLIdentifier, _ config: TimescaleDBConfig, now: Int64) -> [String] {
        Aggregate.allCases.compactMap { aggregate in
            guard let range = ranges[aggregate] else { return nil }
            let bucket = aggregate.bucket.microseconds
            var start = Self.floored(range.lowerBound, bucket)
            if config.retention > .zero {
                // A chunk goes when all of it is older than retention, so what is younger is whole.
                start = max(start, Self.floored(now - config.retention.microseconds, bucket) + bucket)
            }
            let end = Self.floored(range.upperBound, bucket) + bucket
            guard start < end else { return nil }
            let view = SQLIdentifier(name: "\(config.schema).\(aggregate.rawValue)").literal
            return """
                call \(functions).refresh_continuous_aggregate(\(view)::regclass, \
                timestamptz '\(UTCTimestamp.text(start))', timestamptz '\(UTCTimestamp.text(end))')
                """
        }
    }

    private static func floored(_ value: Int64, _ step: Int64) -> Int64 {
        let remainder = value % step
        return value - (remainder < 0 ? remainder + step : remainder)
    }
}

extension Duration {
    /// Whole microseconds.
    fileprivate var microseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
}
