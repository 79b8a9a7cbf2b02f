import Dispatch
import Logging
import Pipeline
import SelfTelemetry
import Synchronization

/// The `tail_sampling` processor: holds each trace until its decision, then sends it on whole or lets it go.
///
/// With the write-ahead log a decision is carried out only once it is in the log (`DecisionNotes`). Until then the trace's requests are
/// in the log too, so a crash at any moment leaves either an undecided trace, which is assembled again, or one whose rest meets the same
/// fate as the part that has left already.
///
/// Nothing is decided while the next stage refuses, and `admission` refuses newcomers then.
public final class TailSamplingProcessor: RetiringStage {
    public let id: String
    private let config: TailSamplingConfig
    private let shards: TailShards
    private let next: any Consumer<SpanBatch>
    private let journal: Journal?
    private let metrics: TailSamplingMetrics
    private let budget: MemoryBudget
    private let logger: Logger
    private let state = Mutex(State())
    private let timers = DispatchQueue(label: "tail-sampling-timers")
    /// Where decisions are carried out, in order: it blocks while the log is written, and while the next stage refuses.
    private let carrier = DispatchQueue(label: "tail-sampling-carrier")
    private let epoch = ContinuousClock.now
    private let turn: Duration
    /// A root that comes may bring a trace's deadline forward.
    private let longestTurn: Duration
    private let pause = ConditionLock()
    private let hasReadJournal = Atomic<Bool>(false)
    private let journalReading = ConditionLock()

    /// The log that decisions are written to.
    public struct Journal: Sendable {
        let log: WriteAheadLog
        /// Pipeline and processor: who asks for them after a restart.
        let topic: String

        public init(log: WriteAheadLog, topic: String) {
            self.log = log
            self.topic = topic
        }
    }

    private struct State {
        /// Calls of `consume` and rounds of decisions that are under way: the end waits for them, so that nothing is added after it.
        var inside = 0
        var waiting: [TailOutput] = []
        var isCarrying = false
        var isTimerSet = false
        var isStopping = false
        /// Set at the end: what the next stage has not taken by then is given up.
        var deadline: ContinuousClock.Instant?
        var refused: [SpanBatch] = []
        /// Of the stage that replaces this one.
        var successor: TailShards?
        /// The end is over: what is refused from now on has nobody to be returned to.
        var isAbandoned = false
    }

    /// Secret, and the same for all samplers of the process, so that one can go on with another's decisions.
    private static let seed = UInt64.random(in: .min ... .max)

    /// - Parameters:
    ///   - journal: nil without the write-ahead log.
    ///   - bytesMax: of requests that are held because of undecided traces.
    ///   - doubles: finds calls that are told twice; nil where LLM calls are not looked at.
    ///   - cores: shards where the configuration does not say.
    public init(
        id: String, config: TailSamplingConfig, next: any Consumer<SpanBatch>, journal: Journal?, budget: MemoryBudget,
        bytesMax: Int, cores: Int, doubles: CallDoublesFinder? = nil, registry: MetricRegistry, logger: Logger
    ) {
        self.id = id
        self.config = config
        self.journal = journal
        self.budget = budget
        self.logger = logger
        metrics = TailSamplingMetrics(
            registry: registry, processor: id, policies: config.policies.policies.map(\.name), logger: logger)
        shards = TailShards(
            config, shards: config.numShards > 0 ? config.numShards : cores,
            bytesMax: bytesMax, seed: Self.seed, sampler: id, doubles: doubles, account: budget,
            gauge: metrics.tracesHeld)
        self.next = next
        turn = min(max(config.decisionWait / TailLimits.turnsPerWait, TailLimits.turnMin), TailLimits.turnMax)
        longestTurn = config.decisionWaitAfterRootReceived > .zero ? turn : TailLimits.longestTurn
    }

    public var health: ComponentHealth { .ok }

    public func start() async throws {}

    private var now: Int64 { (ContinuousClock.now - epoch).nanoseconds }

    public var admission: Outcome {
        let refusal: Refusal? = state.withLock { state in
            state.isStopping ? .shuttingDown : state.waiting.count >= TailLimits.waitingMax ? .queueFull : nil
        }
        if let refusal { return .retryable(refusal, after: nil) }
        if config.blockOnOverflow, shards.traceCount >= config.numTraces { return .retryable(.queueFull, after: nil) }
        return next.admission
    }

    public func consume(_ batch: SpanBatch) -> Outcome {
        if let refusal = enter(waitingMax: TailLimits.waitingMax + PipelineLimits.admissionReserve) {
            return .retryable(refusal, after: nil)
        }
        defer { leave() }
        if !hasReadJournal.load(ordering: .acquiring) { readJournal() }
        var output = add(batch)
        // What is being carried out will give memory back: deciding about more meanwhile would only be too early.
        if budget.isExhausted, shards.traceCount > 0, !state.withLock({ $0.isCarrying }) {
            output.append(shards.decideOldest(half: .overflow))
        }
        carryOut(output)
        if shards.traceCount > 0 { setTimer(after: turn) }
        return .accepted
    }

    private func add(_ batch: SpanBatch) -> TailOutput {
        // What a predecessor has kept and could not hand on is decided: deciding again would count it twice.
        func isDecided(_ slice: SpanSlice) -> Bool { slice.decision.map { $0.sampler == id } ?? false }
        guard batch.slices.contains(where: isDecided) else { return shards.add(batch, now: now) }
        var output = shards.add(SpanBatch(slices: batch.slices.filter { !isDecided($0) }), now: now)
        output.kept += batch.slices.filter(isDecided)
        return output
    }

    /// Why it is not to be begun now, or nil; then `leave` is called in the end.
    private func enter(waitingMax: Int) -> Refusal? {
        state.withLock { state in
            if state.isStopping { return .shuttingDown }
            if state.waiting.count >= waitingMax { return .queueFull }
            state.inside += 1
            return nil
        }
    }

    private func leave() { state.withLock { $0.inside -= 1 } }

    /// What former runs have decided: before the first span, and spans come only once the log is open.
    private func readJournal() {
        journalReading.withLock {
            guard !hasReadJournal.load(ordering: .acquiring) else { return }
            if let journal { remember(journal) }
            hasReadJournal.store(true, ordering: .releasing)
        }
    }

    private func remember(_ journal: Journal) {
        let notes = journal.log.takeNotes(topic: journal.topic).flatMap { body in
            body.withUnsafeBytes { DecisionNotes.decode($0, shards.names) }
        }
        guard !notes.isEmpty else { return }
        shards.remember(notes)
        logger.info("decisions of the former run are remembered", metadata: ["processor": "\(id)", "traces": "\(notes.count)"])
    }

    // MARK: Carrying out

    private func carryOut(_ output: TailOutput) {
        metrics.count(output)
        guard !output.isEmpty else { return }
        let isFirst = state.withLock { state in
            state.waiting.append(output)
            defer { state.isCarrying = true }
            return !state.isCarrying
        }
        if isFirst { carrier.async { self.carry() } }
    }

    /// Runs on `carrier`, until nothing waits.
    private func carry() {
        while true {
            var outputs = state.withLock { state in
                defer { state.waiting = [] }
                if state.waiting.isEmpty { state.isCarrying = false }
                return state.waiting
            }
            guard !outputs.isEmpty else { return }
            if let journal { write(outputs, to: journal) }
            let kept = outputs.flatMap(\.kept)
            // What was dropped does not wait for the next stage to take what was kept.
            outputs = []
            if !kept.isEmpty { handOn(SpanBatch(slices: kept)) }
        }
    }

    private func write(_ outputs: [TailOutput], to journal: Journal) {
        let decided = outputs.flatMap(\.decided)
        var begin = 0
        while begin < decided.count {
            let end = min(begin + DecisionNotes.countMax, decided.count)
            // Without room in the log they are carried out all the same: that is what makes room.
            if !journal.log.appendNote(DecisionNotes.encode(decided[begin..<end], shards.names), topic: journal.topic) {
                metrics.notesLost.emit(end - begin)
            }
            begin = end
        }
    }

    /// Waits while the next stage refuses, at the end until `deadline`.
    private func handOn(_ batch: SpanBatch) {
        while true {
            if next.admission == .accepted {
                switch next.consume(batch) {
                case .accepted: return
                case .retryable: break
                case .permanent(let refusal):
                    return metrics.refusedForGood.emit(batch.itemCount, metadata: ["reason": "\(refusal.rawValue)"])
                }
            }
            let (isOver, isAbandoned) = state.withLock { state in
                guard let deadline = state.deadline, deadline <= .now else { return (false, false) }
                if !state.isAbandoned { state.refused.append(batch) }
                return (true, state.isAbandoned)
            }
            if isAbandoned { giveUp([batch], logger: logger) }
            if isOver { return }
            pause.withLock { _ = pause.wait(until: .now + TailLimits.retryInterval) }
        }
    }

    // MARK: The timer

    private func setTimer(after delay: Duration) {
        let isNew = state.withLock { state in
            defer { state.isTimerSet = true }
            return !state.isTimerSet && !state.isStopping
        }
        guard isNew else { return }
        timers.asyncAfter(deadline: .now() + .nanoseconds(Int(delay.nanoseconds))) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        state.withLock { $0.isTimerSet = false }
        let obstacle = enter(waitingMax: TailLimits.waitingMax)
        if obstacle == .shuttingDown { return }
        let canLeave = obstacle == nil && next.admission == .accepted
        if canLeave {
            let before = ContinuousClock.now
            carryOut(shards.decideDue(now: now))
            metrics.observe(timer: .now - before)
        }
        if let deadline = shards.nextDeadline {
            setTimer(after: canLeave ? min(max(.nanoseconds(deadline - now), turn), longestTurn) : TailLimits.retryInterval)
        }
        if obstacle == nil { leave() }
    }

    // MARK: The end

    /// With the write-ahead log undecided traces stay in it, and are assembled again at the next start. Without it they are decided
    /// about now, with the spans that have come, unless `drop_pending_traces_on_shutdown` says to drop them.
    public func shutdown(deadline: ContinuousClock.Instant) async {
        await stop(deadline)
        if config.dropPendingTracesOnShutdown {
            let dropped = shards.takeAll().reduce(0) { $0 + $1.range.count }
            if dropped > 0 { logger.info("undecided traces are dropped, as configured", metadata: ["spans": "\(dropped)"]) }
        } else if journal != nil {
            let undecided = SpanBatch(slices: shards.takeAll())
            let kept = undecided.keepInLog()
            if kept > 0 { logger.info("undecided traces stay in the write-ahead log", metadata: ["spans": "\(kept)"]) }
            let lost = undecided.itemCount - kept
            if lost > 0 { logger.error("undecided spans that are not in the write-ahead log are lost", metadata: ["spans": "\(lost)"]) }
        } else {
            carryOut(shards.decideAll(.shutdown))
        }
        giveUp(await carriedOut(deadline), logger: logger)
    }

    /// Carries out what was decided; undecided traces are for the successor, oldest first in each shard, after what the next stage has not
    /// taken: that carries its decision, which the successor leaves as it is.
    public func retire(deadline: ContinuousClock.Instant) async -> [SpanBatch] {
        await stop(deadline)
        let undecided = shards.takeAll()
        let refused = await carriedOut(deadline)
        if let successor = state.withLock({ $0.successor }) { shards.handOver(to: successor) }
        return refused + (undecided.isEmpty ? [] : [SpanBatch(slices: undecided)])
    }

    /// Undecided traces are decided about by the successor.
    public var leavesWorkUndone: Bool { true }

    public func succeed(_ former: any Component) {
        guard let former = former as? TailSamplingProcessor else { return }
        shards.succeed(former.shards)
        former.state.withLock { $0.successor = shards }
    }

    /// Lets nobody in any more, and waits for those who are.
    private func stop(_ deadline: ContinuousClock.Instant) async {
        state.withLock { $0.isStopping = true }
        let end = max(deadline, .now) + TailLimits.carryingGrace
        while state.withLock({ $0.inside > 0 }), ContinuousClock.now < end { try? await Task.sleep(for: TailLimits.pollInterval) }
    }

    /// Returns what the next stage has not taken until `deadline`.
    private func carriedOut(_ deadline: ContinuousClock.Instant) async -> [SpanBatch] {
        state.withLock { $0.deadline = deadline }
        // A log that does not answer any more has the requests still: the next start goes on with them.
        let end = max(deadline, .now) + TailLimits.carryingGrace
        while state.withLock({ $0.isCarrying }), ContinuousClock.now < end {
            try? await Task.sleep(for: TailLimits.pollInterval)
        }
        return state.withLock { state in
            let left = state.waiting.flatMap(\.kept)
            let refused = state.refused + (left.isEmpty ? [] : [SpanBatch(slices: left)])
            (state.waiting, state.refused, state.isAbandoned) = ([], [], true)
            return refused
        }
    }
}
