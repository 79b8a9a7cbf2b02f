import OTLPWire
import Pipeline

/// Tells which of a trace's LLM calls another one tells of as well, by their places: their tokens and costs do not count.
public typealias CallDoublesFinder = @Sendable ([SpanView]) -> [Int]

/// The undecided traces of one shard, with everything that deciding needs. Pure: spans and the time go in, decisions come out.
///
/// A trace holds facts, which grow span by span, and a list of runs: spans side by side in one request. A held span is nothing but its
/// part of a run; the request's memory stays alive for it. It is its owner's alone, so it may go from thread to thread.
struct TailShard: ~Copyable, @unchecked Sendable {
    struct Settings: Sendable {
        /// Nanoseconds from a trace's first span to its decision.
        var decisionWait: Int64
        /// Nanoseconds from its root's arrival on, if that is earlier; nil: the root is nothing special.
        var rootWait: Int64?
        var tracesMax: Int
        /// Encoded bytes of one trace; 0: as many as come.
        var traceBytesMax = 0
        var decidesEarly = true
        var keptCacheSize: Int
        var droppedCacheSize: Int
    }

    private struct Trace: BitwiseCopyable {
        let id: TraceID
        let hash: UInt64
        let arrival: Int64
        /// 0: the place is free.
        var generation: UInt32
        var firstRun: Int32 = -1
        var lastRun: Int32 = -1
        var facts = TraceFacts()
        /// Some span's tracestate tells of a sampler before us.
        var hasToldCount = false
        var isRootDue = false
    }

    private struct Run: BitwiseCopyable {
        let request: Int32
        let start: UInt32
        var count: UInt32
        var next: Int32 = -1
    }

    /// Spans of one trace, side by side in a slice that is being added.
    struct NewRun: BitwiseCopyable {
        let start: Int
        var count: Int
        let hash: UInt64
    }

    let settings: Settings
    private var judge: TailJudge
    private let seed: UInt64
    private var cache: DecisionCache
    private var table = TraceTable()
    private var traces = SlotPool<Trace>()
    private var runs = SlotPool<Run>()
    private var requests = HeldRequests()
    private var due = DueQueue()
    private var rootDue = DueQueue()
    private var generation: UInt32 = 0
    private var heldSpans = 0
    /// The latest time told: time never goes back.
    private var clock: Int64 = 0
    /// By policy: for traces that were certain to be kept, and not sampled before.
    private var certain: [SamplingDecision]
    private let reasons: PolicyNames
    private let doubles: CallDoublesFinder?
    private var former: FormerDecisions?

    /// - Parameters:
    ///   - seed: secret, of the hash that finds traces; the same for all shards.
    ///   - judge: with the state that some policies have, for this shard.
    init(settings: Settings, judge: TailJudge, seed: UInt64, reasons: PolicyNames, doubles: CallDoublesFinder? = nil) {
        self.doubles = doubles
        self.settings = settings
        self.judge = judge
        self.seed = seed
        self.reasons = reasons
        cache = DecisionCache(keptMax: settings.keptCacheSize, droppedMax: settings.droppedCacheSize, seed: seed)
        certain = judge.policies.policies.map { SamplingDecision(adjustedCount: 1, reason: $0.name, sampler: reasons.sampler) }
    }

    var traceCount: Int { table.count }
    var spanCount: Int { heldSpans }
    /// Memory for finding and holding traces, beside the requests' own.
    var bookkeepingBytes: Int {
        table.byteCount + traces.byteCount + runs.byteCount + requests.byteCount + due.byteCount + rootDue.byteCount
    }

    /// All memory of the shard's own: also that of the decisions it remembers.
    var ownBytes: Int { bookkeepingBytes + cache.byteCount }

    /// When something is to be decided, on the sampler's clock; nil when nothing waits.
    var nextDeadline: Int64? {
        switch (due.first?.deadline, rootDue.first?.deadline) {
        case (let first?, let second?): min(first, second)
        case (let first, let second): first ?? second
        }
    }

    // MARK: Spans

    /// Takes in spans of one slice; `newRuns` are those of this shard.
    ///
    /// - Parameter now: nanoseconds on the sampler's clock.
    mutating func add(_ slice: SpanSlice, _ newRuns: [NewRun], request: HeldRequest, now: Int64, output: inout TailOutput) {
        clock = max(clock, now)
        var place: Int32?
        var resource: (identity: UnsafeRawPointer, met: CriteriaSet)?
        for run in newRuns {
            let first = slice.batch[run.start]
            let id = first.traceID
            guard let trace = find(id, run.hash) ?? start(id, run.hash, slice, run, &output) else { continue }
            for index in run.start..<run.start + run.count {
                let span = slice.batch[index]
                var met = CriteriaSet()
                if judge.policies.criteria.needsResource {
                    let identity = span.resource.identity
                    if let resource, resource.identity == identity {
                        met = resource.met
                    } else {
                        met = judge.policies.criteria.metBy(span.resource)
                        resource = (identity, met)
                    }
                }
                traces[trace].facts.add(span, judge.policies.criteria, resource: met, seed: seed, failures: &output.failures)
                if !span.traceState.isEmpty, span.toldAdjustedCount != 1 { traces[trace].hasToldCount = true }
            }
            let slot = place ?? requests.insert(slice, request)
            if place == nil { requests.addRun(slot) }
            place = slot
            append(run, of: slot, to: trace)
            heldSpans += run.count
            settle(trace, &output)
        }
        // The runs that were decided about at once must not have taken it away from those after them.
        if let place, case let (slice, isLast) = requests.removeRun(place), isLast { output.freed.append(slice) }
    }

    private func find(_ id: TraceID, _ hash: UInt64) -> Int32? {
        table.find(hash) { traces[$0].id == id }
    }

    /// A new trace's place; nil when the trace was decided about before and the spans have met their fate.
    private mutating func start(
        _ id: TraceID, _ hash: UInt64, _ slice: SpanSlice, _ run: NewRun, _ output: inout TailOutput
    ) -> Int32? {
        if let kept = cache.kept(id) ?? adopted(id) {
            let decision = TailDecision(isKept: true, policy: Int(kept.policy), adjustedCount: kept.adjustedCount)
            let range = run.start..<run.start + run.count
            let isTold = range.contains { slice.batch[$0].toldAdjustedCount != 1 }
            keep(slice, range, decision, isTold: isTold, &output)
            output.decided.append(late(id, decision, run.count))
            return nil
        }
        if cache.isDropped(id) {
            output.decided.append(late(id, .none, run.count))
            // Its record must not go before the decision is in the log.
            output.freed.append(slice.part(run.start..<run.start + run.count))
            return nil
        }
        if table.count >= settings.tracesMax { decideOldest(.overflow, &output) }
        generation = generation == .max ? 1 : generation + 1
        let place = traces.insert(Trace(id: id, hash: hash, arrival: clock, generation: generation))
        table.insert(place, hash: hash) { traces[$0].hash }
        due.append(DueQueue.Entry(place: place, generation: generation, deadline: Self.later(clock, by: settings.decisionWait)))
        output.newTraces += 1
        return place
    }

    // MARK: A predecessor

    /// From now on traces that this shard has not decided about meet the fate that `former` has given them.
    mutating func succeed(_ former: FormerDecisions?) { self.former = former }

    /// What this shard remembers, itself.
    mutating func fate(of id: TraceID) -> FormerDecisions.Fate? {
        if let kept = cache.kept(id) { return .kept(policy: reasons[Int(kept.policy)], adjustedCount: kept.adjustedCount) }
        return cache.isDropped(id) ? .dropped : nil
    }

    var decisions: DecisionCache.Contents { cache.contents }

    mutating func insert(_ decisions: DecisionCache.Contents) { cache.insert(decisions) }

    /// Makes the predecessor's decision about a trace this shard's own. Returns it when the trace is kept.
    private mutating func adopted(_ id: TraceID) -> DecisionCache.Kept? {
        guard let fate = former?.fate(of: id) else { return nil }
        guard case .kept(let policy, let adjustedCount) = fate else {
            cache.insertDropped(id)
            return nil
        }
        let kept = DecisionCache.Kept(policy: UInt16(clamping: reasons.number(of: policy)), adjustedCount: adjustedCount)
        cache.insertKept(id, kept)
        return kept
    }

    private func late(_ id: TraceID, _ decision: TailDecision, _ spans: Int) -> DecidedTrace {
        DecidedTrace(id: id, decision: decision, cause: .late, spanCount: spans, costUSD: 0, age: 0)
    }

    private mutating func append(_ run: NewRun, of request: Int32, to trace: Int32) {
        let last = traces[trace].lastRun
        if last >= 0, runs[last].request == request, Int(runs[last].start) + Int(runs[last].count) == run.start {
            runs[last].count += UInt32(run.count)
            return
        }
        let place = runs.insert(Run(request: request, start: UInt32(run.start), count: UInt32(run.count)))
        requests.addRun(request)
        if last >= 0 { runs[last].next = place } else { traces[trace].firstRun = place }
        traces[trace].lastRun = place
    }

    /// Whether the trace is to be decided about at once, or earlier than planned.
    private mutating func settle(_ trace: Int32, _ output: inout TailOutput) {
        if settings.traceBytesMax > 0, traces[trace].facts.byteCount > settings.traceBytesMax {
            return decide(trace, .tooLarge, as: TailDecision.none, &output)
        }
        if settings.decidesEarly, let decision = settled(trace) { return decide(trace, .early, as: decision, &output) }
        if let rootWait = settings.rootWait, traces[trace].facts.hasRoot, !traces[trace].isRootDue {
            traces[trace].isRootDue = true
            rootDue.append(DueQueue.Entry(place: trace, generation: traces[trace].generation, deadline: Self.later(clock, by: rootWait)))
        }
    }

    // MARK: Decisions

    /// Decides about traces whose time is up, at most `limit`. Returns whether more are due.
    mutating func decideDue(now: Int64, limit: Int, output: inout TailOutput) -> Bool {
        clock = max(clock, now)
        var decided = 0
        while decided < limit {
            let isRootFirst = (rootDue.first?.deadline ?? .max) < (due.first?.deadline ?? .max)
            guard let next = isRootFirst ? rootDue.first : due.first, next.deadline <= clock else { return false }
            if isRootFirst { _ = rootDue.popFirst() } else { _ = due.popFirst() }
            guard isPending(next) else { continue }
            decide(next.place, .due, as: nil, &output)
            decided += 1
        }
        return true
    }

    /// Decides about the oldest trace before its time. False when there is none.
    @discardableResult
    mutating func decideOldest(_ cause: DecisionCause, _ output: inout TailOutput) -> Bool {
        while let next = due.popFirst() {
            guard isPending(next) else { continue }
            decide(next.place, cause, as: nil, &output)
            return true
        }
        return false
    }

    /// A configured time may be as long as there is time.
    private static func later(_ time: Int64, by wait: Int64) -> Int64 {
        let (sum, isTooLate) = time.addingReportingOverflow(wait)
        return isTooLate ? .max : sum
    }

    private mutating func settled(_ trace: Int32) -> TailDecision? {
        guard let decision = judge.settled(traces[trace].facts, traces[trace].id) else { return nil }
        guard doubles != nil, traces[trace].facts.callCount > 1 else { return decision }
        return judge.settled(takeBackDoubles(trace, clears: false), traces[trace].id)
    }

    /// The trace's facts without what was told twice by spans of several requests; within one that was found out before.
    ///
    /// - Parameter clears: takes tokens and costs back from those spans as well.
    private mutating func takeBackDoubles(_ place: Int32, clears: Bool) -> TraceFacts {
        var facts = traces[place].facts
        guard let doubles, facts.callCount > 1 else { return facts }
        let first = traces[place].firstRun
        guard first >= 0, runs[first].request != runs[traces[place].lastRun].request || runs[first].next >= 0 else { return facts }
        var calls: [(batch: TraceBatch, index: Int)] = []
        var next = first
        while next >= 0 {
            let run = runs[next]
            if let batch = requests.batch(run.request) {
                for index in Int(run.start)..<Int(run.start) + Int(run.count) where batch[index].genAI?.isCall == true {
                    calls.append((batch, index))
                }
            }
            next = run.next
        }
        for double in doubles(calls.map { $0.batch[$0.index] }) {
            let (batch, index) = calls[double]
            if let record = batch[index].genAI { facts.subtract(SpanSpend(record)) }
            if clears { batch.clearGenAIUsage(ofSpanAt: index) }
        }
        return facts
    }

    private func isPending(_ entry: DueQueue.Entry) -> Bool {
        traces.contains(entry.place) && traces[entry.place].generation == entry.generation
    }

    private mutating func decide(_ place: Int32, _ cause: DecisionCause, as known: TailDecision?, _ output: inout TailOutput) {
        let trace = traces[place]
        let facts = takeBackDoubles(place, clears: true)
        let decision = adoptedDecision(trace.id) ?? known ?? judge.decide(facts, trace.id, now: .nanoseconds(clock))
        if decision.isKept, let policy = decision.policy {
            cache.insertKept(trace.id, DecisionCache.Kept(policy: UInt16(clamping: policy), adjustedCount: decision.adjustedCount))
        } else {
            cache.insertDropped(trace.id)
        }
        output.decided.append(
            DecidedTrace(
                id: trace.id, decision: decision, cause: cause, spanCount: trace.facts.spanCount, costUSD: facts.costUSD,
                age: clock - trace.arrival))
        takeOut(place) { [certain, reasons] slice, range, isLast in
            if decision.isKept { Self.keep(slice, range, decision, certain, reasons, isTold: trace.hasToldCount, &output) }
            if isLast { output.freed.append(slice) }
        }
    }

    /// The predecessor may have decided about a trace whose first spans it had, while the next ones came here.
    private mutating func adoptedDecision(_ id: TraceID) -> TailDecision? {
        guard former != nil else { return nil }
        if let kept = adopted(id) { return TailDecision(isKept: true, policy: Int(kept.policy), adjustedCount: kept.adjustedCount) }
        return cache.isDropped(id) ? TailDecision.none : nil
    }

    /// Forgets the trace, telling of its runs, and of each whether it was the last that its request was held for here.
    private mutating func takeOut(_ place: Int32, _ body: (SpanSlice, Range<Int>, _ isLast: Bool) -> Void) {
        let trace = traces[place]
        var next = trace.firstRun
        while next >= 0 {
            let run = runs[next]
            let (slice, isLast) = requests.removeRun(run.request)
            body(slice, Int(run.start)..<Int(run.start) + Int(run.count), isLast)
            runs.remove(next)
            next = run.next
        }
        heldSpans -= trace.facts.spanCount
        table.remove(place, hash: trace.hash)
        traces[place].generation = 0
        traces.remove(place)
        let live = table.count
        due.clean(live: live) { traces.contains($0.place) && traces[$0.place].generation == $0.generation }
        rootDue.clean(live: live) { traces.contains($0.place) && traces[$0.place].generation == $0.generation }
    }

    private func keep(
        _ slice: SpanSlice, _ range: Range<Int>, _ decision: TailDecision, isTold: Bool, _ output: inout TailOutput
    ) {
        Self.keep(slice, range, decision, certain, reasons, isTold: isTold, &output)
    }

    /// Sends spans on with what was decided now times what was decided before.
    private static func keep(
        _ slice: SpanSlice, _ range: Range<Int>, _ decision: TailDecision, _ certain: [SamplingDecision], _ reasons: PolicyNames,
        isTold: Bool, _ output: inout TailOutput
    ) {
        let policy = decision.policy ?? 0
        if slice.decision == nil, !isTold {
            let isCertain = decision.adjustedCount == 1 && policy < certain.count
            let made =
                isCertain
                ? certain[policy]
                : SamplingDecision(adjustedCount: decision.adjustedCount, reason: reasons[policy], sampler: reasons.sampler)
            output.kept.append(slice.part(range, made))
            return
        }
        // Spans of one trace may have been sampled with different probabilities before.
        var start = range.lowerBound
        while start < range.upperBound {
            let count = slice[start].adjustedCount
            var end = start + 1
            while end < range.upperBound, slice[end].adjustedCount == count { end += 1 }
            let made = SamplingDecision(
                adjustedCount: decision.adjustedCount * count, reason: reasons[policy], traceState: slice.decision?.traceState,
                sampler: reasons.sampler)
            output.kept.append(slice.part(start..<end, made))
            start = end
        }
    }

    // MARK: The end

    /// Everything that waits, undecided, oldest trace first.
    mutating func takeAll() -> [SpanSlice] {
        var slices: [SpanSlice] = []
        while let next = due.popFirst() {
            guard isPending(next) else { continue }
            takeOut(next.place) { slice, range, _ in slices.append(slice.part(range)) }
        }
        return slices
    }

    /// Takes note of what a former run has decided.
    mutating func remember(_ notes: [DecisionNote]) {
        // A trace that had been forgotten was decided about anew: what was decided last holds.
        var last: [TraceID: Int] = [:]
        for (index, note) in notes.enumerated() { last[note.id] = index }
        cache.makeRoom(
            kept: last.values.count { notes[$0].kept != nil }, dropped: last.values.count { notes[$0].kept == nil })
        for (index, note) in notes.enumerated() where last[note.id] == index {
            if let kept = note.kept { cache.insertKept(note.id, kept) } else { cache.insertDropped(note.id) }
        }
    }
}
