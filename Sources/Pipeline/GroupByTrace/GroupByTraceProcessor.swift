import Dispatch
import Logging
import SelfTelemetry
import Synchronization

/// The `groupbytrace` processor: holds each trace's spans for `wait_duration` from the first on, then sends them on together.
///
/// What it has accepted it never drops. With more traces than `num_traces`, or with the memory limit reached, the oldest leave early.
/// Nothing leaves while the next stage refuses (`admission` then refuses too, as the next stage's does); whatever it has refused all
/// the same is held by `outlet` and offered again.
public final class GroupByTraceProcessor: RetiringStage {
    public let id: String
    /// Never waits; holds what the next stage refuses, in order, and gives it up at shutdown only.
    private let outlet: BatchProcessor<SpanBatch>
    private let metrics: GroupByTraceMetrics
    private let budget: MemoryBudget
    private let logger: Logger
    private let state: Mutex<State>
    private let timers = DispatchQueue(label: "groupbytrace-timers")

    private struct State {
        var groups: TraceGroups
        /// Releases taken out of `groups` and not yet in the outlet.
        var leaving = 0
        var isTimerSet = false
        var isStopping = false
    }

    /// Shortest time between two looks at what is due: traces that begin one after the other leave as one batch.
    private static let releaseInterval = Duration.milliseconds(10)
    /// How soon due traces are looked at again when the next stage took none.
    private static let retryInterval = Duration.milliseconds(50)
    /// Part of the traces that leaves early when the memory limit is reached.
    private static let evictedFraction = 2

    public init(
        id: String, config: GroupByTraceConfig, next: any Consumer<SpanBatch>, budget: MemoryBudget, registry: MetricRegistry,
        logger: Logger
    ) {
        self.id = id
        self.budget = budget
        self.logger = logger
        metrics = GroupByTraceMetrics(registry: registry, processor: id, tracesMax: config.tracesMax)
        outlet = BatchProcessor(
            id: id, settings: BatchSettings(sizeItems: 1, timeout: .zero), next: next, registry: nil, logger: logger)
        state = Mutex(State(groups: TraceGroups(config: config)))
    }

    public var health: ComponentHealth { .ok }

    public func start() async throws {}

    public var admission: Outcome {
        state.withLock { $0.isStopping } ? .retryable(.shuttingDown, after: nil) : outlet.admission
    }

    public func consume(_ batch: SpanBatch) -> Outcome {
        let canLeave = outlet.admission
        let (refusal, early): (Outcome?, TraceGroups.Release?) = state.withLock { state in
            if state.isStopping { return (.retryable(.shuttingDown, after: nil), nil) }
            // One who was admitted gets in; one who did not ask must not pile up traces that cannot leave.
            if canLeave != .accepted, state.groups.traceCount >= state.groups.config.tracesMax { return (canLeave, nil) }
            change(&state) { $0.add(batch, now: .now) }
            setTimer(&state, after: state.groups.config.waitDuration)
            guard canLeave == .accepted else { return (nil, nil) }
            return (nil, takeOut(&state) { groups in
                budget.isExhausted ? groups.takeOldest(groups.traceCount / Self.evictedFraction) : groups.takeExcess()
            })
        }
        if let refusal { return refusal }
        if let early {
            metrics.tracesEvicted.add(early.traceCount)
            leave(early)
        }
        return .accepted
    }

    /// The bytes that grouping itself takes are part of the memory budget.
    private func change<Result>(_ state: inout State, _ body: (inout TraceGroups) -> Result) -> Result {
        let before = state.groups.bookkeepingBytes
        let result = body(&state.groups)
        let growth = state.groups.bookkeepingBytes - before
        if growth > 0 { budget.charge(growth) } else if growth < 0 { budget.release(-growth) }
        metrics.tracesHeld.set(state.groups.traceCount)
        return result
    }

    private func takeOut(_ state: inout State, _ body: (inout TraceGroups) -> TraceGroups.Release?) -> TraceGroups.Release? {
        let release = change(&state, body)
        if release != nil { state.leaving += 1 }
        return release
    }

    /// Into the outlet, or back: then the spans' time begins anew. True when they have left.
    @discardableResult
    private func leave(_ release: TraceGroups.Release) -> Bool {
        let hasLeft = outlet.consume(release.batch) == .accepted
        if hasLeft {
            metrics.tracesReleased.add(release.traceCount)
            metrics.spansReleased.add(release.batch.itemCount)
        }
        state.withLock { state in
            state.leaving -= 1
            guard !hasLeft else { return }
            change(&state) { $0.add(release.batch, now: .now) }
            if !state.isStopping { setTimer(&state, after: Self.retryInterval) }
        }
        return hasLeft
    }

    // MARK: The timer

    private func setTimer(_ state: inout State, after delay: Duration) {
        guard !state.isTimerSet else { return }
        state.isTimerSet = true
        let nanoseconds = Int(delay.components.seconds * 1_000_000_000 + delay.components.attoseconds / 1_000_000_000)
        timers.asyncAfter(deadline: .now() + .nanoseconds(nanoseconds)) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        let canLeave = outlet.admission == .accepted
        let due: TraceGroups.Release? = state.withLock { state in
            state.isTimerSet = false
            let now = ContinuousClock.now
            let due = canLeave && !state.isStopping ? takeOut(&state) { $0.takeDue(now: now) } : nil
            if let next = state.groups.nextDeadline, !state.isStopping {
                setTimer(&state, after: canLeave ? max(next - now, Self.releaseInterval) : Self.retryInterval)
            }
            return due
        }
        if let due { leave(due) }
    }

    // MARK: Stop

    /// Sends on all that is held, whether or not its time has come. What the next stage does not take until `deadline` stays in the
    /// write-ahead log, or is lost without it; both is logged.
    public func shutdown(deadline: ContinuousClock.Instant) async {
        giveUp(await retire(deadline: deadline), logger: logger)
    }

    /// Like `shutdown`, but returns what the next stage has not taken.
    public func retire(deadline: ContinuousClock.Instant) async -> [SpanBatch] {
        state.withLock { $0.isStopping = true }
        repeat {
            let rest = state.withLock { state in takeOut(&state) { $0.takeAll() } }
            if let rest, leave(rest) { continue }
            if state.withLock({ $0.leaving == 0 && $0.groups.traceCount == 0 }) { break }
            try? await Task.sleep(for: PipelineLimits.shutdownPollInterval)
        } while ContinuousClock.now < deadline
        let refused = await outlet.retire(deadline: deadline)
        let rest = state.withLock { state in change(&state) { $0.takeAll() } }
        return refused + (rest.map { [$0.batch] } ?? [])
    }
}
