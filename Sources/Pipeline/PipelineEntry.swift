import Dispatch
import Logging
import OTLPWire
import SelfTelemetry
import Synchronization

/// The door of one pipeline: what receivers hand to, and the pipeline's place in the write-ahead log.
///
/// Without the log it passes batches on and answers as the pipeline does. With the log nothing is refused here: a request is in
/// the log already. Either the entry is **direct** and hands the decoded request on at once, or it has a **backlog**: the pipeline
/// was full, or the log brought records of former runs. Then the request's memory is let go, and a feeder thread reads the log in
/// order, decodes again, and hands on as fast as the pipeline takes it, until nothing is left and the entry is direct again. So an
/// outage costs room in the log and none in memory.
///
/// Who hands a record on is decided by the log (`WriteAheadLog.take`, `next`), so that no thread can do it twice. The entry outlives
/// its pipeline's stages: a reload exchanges what `next` leads to.
public final class PipelineEntry: Consumer {
    /// The pipeline's id, `traces` or `traces/name`.
    public let id: String
    private let next: any Consumer<SpanBatch>
    private let source: Source?
    private let held = Held()
    private let state: Mutex<State>
    private let wake = ConditionLock()
    private let feeder = DispatchGroup()
    private let metrics: Metrics?
    private let logger: Logger

    /// Where a backlog is read from.
    public struct Source: Sendable {
        public let log: WriteAheadLog
        /// The pipeline's number among the log's readers.
        public let reader: Int
        public let budget: MemoryBudget
        public let limits: DecodeLimits
        /// The pipeline's share of the budget: it gets nothing more while the requests that it is not done with take as much, wherever
        /// in it they are. So what a stuck pipeline holds leaves room for requests to come in and for the others.
        public let bytesMax: Int

        /// - Parameter limits: no tighter than those of any receiver, else what was accepted could not be read back.
        public init(log: WriteAheadLog, reader: Int, budget: MemoryBudget, limits: DecodeLimits, bytesMax: Int = .max) {
            self.log = log
            self.reader = reader
            self.budget = budget
            self.limits = limits
            self.bytesMax = bytesMax
        }
    }

    /// Bytes of the requests that the pipeline has and is not done with.
    private final class Held: ByteAccount {
        private let bytes = Atomic<Int>(0)

        var count: Int { bytes.load(ordering: .relaxed) }
        func charge(_ count: Int) { bytes.wrappingAdd(count, ordering: .relaxed) }
        func release(_ count: Int) { bytes.wrappingSubtract(count, ordering: .relaxed) }
    }

    /// Whose requests the pipeline is for.
    public struct Receivers: Sendable {
        /// Ids of those that feed the pipeline.
        public var feeding: Set<String>
        /// All that are configured: what came from one that is no more goes to every pipeline.
        public var known: Set<String>
        /// The pipeline changes spans that another pipeline gets as well: it works on records of its own.
        public var isChangingShared: Bool

        public init(feeding: Set<String>, known: Set<String>, isChangingShared: Bool = false) {
            self.feeding = feeding
            self.known = known
            self.isChangingShared = isChangingShared
        }

        func includes(_ receiver: String) -> Bool { feeding.contains(receiver) || !known.contains(receiver) }
    }

    private struct State {
        var receivers: Receivers
        var hasBacklog = false
        /// Grows with each request that was left to the feeder: it must not stop while one came after its last look.
        var left: UInt64 = 0
        var isStopping = false
    }

    private struct Metrics: Sendable {
        let fed: Counter
        let unreadable: InternalEvent
        let refused: InternalEvent
    }

    /// - Parameter source: nil without the write-ahead log.
    public init(
        id: String, next: any Consumer<SpanBatch>, receivers: Receivers, source: Source?, registry: MetricRegistry, logger: Logger
    ) {
        self.id = id
        self.next = next
        self.source = source
        self.logger = logger
        state = Mutex(State(receivers: receivers))
        let labels = [(name: "pipeline", value: id)]
        metrics = source.map { _ in
            Metrics(
                fed: registry.counter("collector_pipeline_fed_spans_total", help: "Spans read back from the log.", labels: labels),
                unreadable: InternalEvent(
                    counter: registry.counter(
                        "collector_pipeline_unreadable_requests_total", help: "Requests in the log that this version cannot decode.",
                        labels: labels),
                    logger: logger, level: .error, message: "a request in the write-ahead log cannot be decoded and is given up"),
                refused: InternalEvent(
                    counter: registry.counter(
                        "collector_pipeline_refused_spans_total", help: "Spans in the log that the pipeline refuses for good.",
                        labels: labels),
                    logger: logger, level: .error, message: "the pipeline refuses spans for good, they are lost"))
        }
        guard source != nil else { return }
        registry.observe("collector_pipeline_backlog", help: "1 while the pipeline is fed from the log.", labels: labels) { [weak self] in
            self?.hasBacklog == true ? 1 : 0
        }
        registry.observe(
            "collector_pipeline_held_bytes", help: "Memory of requests that the pipeline is not done with.", labels: labels
        ) { [held] in Double(held.count) }
    }

    /// Changes whose requests the pipeline is for, from the next one on.
    public func replaceReceivers(_ receivers: Receivers) {
        state.withLock { $0.receivers = receivers }
    }

    /// Whether requests wait in the log.
    public var hasBacklog: Bool { state.withLock { $0.hasBacklog } }

    // MARK: Without the log

    public var admission: Outcome { next.admission }

    public func consume(_ batch: SpanBatch) -> Outcome {
        guard state.withLock({ $0.receivers.isChangingShared }) else { return next.consume(batch) }
        return next.consume(SpanBatch(slices: batch.slices.map { SpanSlice($0.batch.copy(), hold: $0.hold) }))
    }

    // MARK: With the log

    /// Reads what former runs left behind. To be called once, when the log is open and the pipeline has started.
    public func start() {
        guard let source, source.log.hasBacklog(reader: source.reader) else { return }
        leaveToFeeder()
    }

    /// Hands a durable request on, or leaves it to the feeder. From any thread; never refuses.
    public func deliver(_ batch: TraceBatch, sequence: UInt64) {
        guard let source else { return }
        let (isDirect, needsOwn) = state.withLock { state in
            if state.hasBacklog || state.isStopping { state.left += 1 }
            return (!state.hasBacklog && !state.isStopping, state.receivers.isChangingShared)
        }
        guard isDirect else { return }
        guard held.count < source.bytesMax, next.admission == .accepted else { return leaveToFeeder() }
        // The feeder of a backlog that has just ended may have been quicker.
        guard let hold = source.log.take(sequence, reader: source.reader) else { return }
        hold.charge(batch.byteCount, to: held)
        // Also what is refused for good: the feeder decodes without the limits of a request on its way in.
        guard next.consume(SpanBatch(needsOwn ? batch.copy() : batch, hold: hold)) == .accepted else {
            hold.giveBack()
            return leaveToFeeder()
        }
    }

    private func leaveToFeeder() {
        let isFirst = state.withLock { state in
            state.left += 1
            guard !state.hasBacklog, !state.isStopping else { return false }
            state.hasBacklog = true
            return true
        }
        guard isFirst else { return }
        logger.info("the pipeline is behind: requests wait in the write-ahead log", metadata: ["pipeline": "\(id)"])
        // A queue of its own is a thread of its own as long as it is at work: it blocks in file reads.
        DispatchQueue(label: "feed-\(id)").async(group: feeder) { self.feed() }
    }

    /// Until the log has nothing left for this pipeline, or `stop`.
    private func feed() {
        guard let source else { return }
        var cursor = LogCursor()
        while waitForRoom(source) {
            let seen = state.withLock { $0.left }
            if let request = source.log.next(&cursor, reader: source.reader) {
                hand(request, source)
            } else if endsBacklog(seen) {
                return
            }
        }
    }

    /// False when the entry has stopped.
    private func waitForRoom(_ source: Source) -> Bool {
        while true {
            if state.withLock({ $0.isStopping }) { return false }
            // A pipeline that has nothing gets something, or requests that come in could starve it.
            let hasRoom = held.count == 0 || (held.count < source.bytesMax && !source.budget.isExhausted)
            if hasRoom, next.admission == .accepted { return true }
            wake.withLock { _ = wake.wait(until: .now + PipelineLimits.feedPollInterval) }
        }
    }

    private func hand(_ request: LoggedRequest, _ source: Source) {
        // Not for this pipeline: released as the hold goes away.
        guard state.withLock({ $0.receivers.includes(request.project) }) else { return }
        let batch: TraceBatch
        do throws(DecodeError) {
            batch = try request.withBytes { (bytes) throws(DecodeError) in
                try TraceBatch.decode(
                    bytes, receivedUnixNano: request.receivedUnixNano, limits: source.limits, account: source.budget)
            }
        } catch {
            // It was decoded before it was answered, so this is another version's. Keeping it would block the log for ever.
            metrics?.unreadable.emit(metadata: ["pipeline": "\(id)"])
            return
        }
        batch.rewrittenBy = request.rewrittenBy
        request.hold.charge(batch.byteCount, to: held)
        switch next.consume(SpanBatch(batch, hold: request.hold)) {
        case .accepted: metrics?.fed.add(batch.spanCount)
        case .retryable:
            request.hold.giveBack()
            wake.withLock { _ = wake.wait(until: .now + PipelineLimits.feedPollInterval) }
        case .permanent(let refusal):
            // Keeping it would block the log for ever.
            metrics?.refused.emit(batch.spanCount, metadata: ["pipeline": "\(id)", "reason": "\(refusal.rawValue)"])
        }
    }

    /// Direct again, unless a request was left to the feeder after it looked.
    private func endsBacklog(_ seen: UInt64) -> Bool {
        let hasEnded = state.withLock { state in
            guard state.left == seen else { return false }
            state.hasBacklog = false
            return true
        }
        guard hasEnded else { return false }
        logger.info("the pipeline has caught up with the write-ahead log", metadata: ["pipeline": "\(id)"])
        return true
    }

    /// Goes on feeding while the pipeline takes it, until `deadline`; the rest stays in the log. To be called when no more requests
    /// arrive.
    public func stop(deadline: ContinuousClock.Instant) async {
        while state.withLock({ $0.hasBacklog }), ContinuousClock.now < deadline, next.admission == .accepted {
            try? await Task.sleep(for: PipelineLimits.shutdownPollInterval)
        }
        state.withLock { $0.isStopping = true }
        wake.withLock { wake.broadcast() }
        await withCheckedContinuation { done in feeder.notify(queue: .global()) { done.resume() } }
    }
}
