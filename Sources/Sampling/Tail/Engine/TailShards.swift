import OTLPWire
import Pipeline
import SelfTelemetry
import Synchronization

/// All shards of a sampler: tells each span's by its trace id, so that a trace is always in one place. Pure but for the locks.
///
/// A shard works on the thread that brings the spans, under its lock: nothing waits in a mailbox, and no thread is woken for a request
/// of one span. Decisions are made a few at a time, so that nobody waits long.
final class TailShards: Sendable {
    private final class Shard: Sendable {
        let state: Mutex<TailShard>

        init(_ shard: consuming TailShard) {
            state = Mutex(shard)
        }
    }

    private let shards: [Shard]
    private let seed: UInt64
    private let bytesMax: Int
    private let held = HeldBytes()
    private let account: (any ByteAccount)?
    /// Of bookkeeping, as far as the account was told.
    private let charged = Atomic<Int>(0)
    private let traces = Atomic<Int>(0)
    private let gauge: Gauge?
    let names: PolicyNames

    /// Traces that are decided about before the lock is given to somebody else.
    private static let decisionsPerTurn = 256
    /// Below this part of the limit nothing more is decided early.
    private static let relievedFraction = 0.9

    /// - Parameters:
    ///   - bytesMax: of requests that are held because of undecided traces.
    ///   - seed: secret; of the tables that clients' ids are looked up in.
    ///   - sampler: id of the processor.
    ///   - doubles: nil where LLM calls are not looked at.
    ///   - account: is told of the memory for finding and holding traces.
    init(
        _ config: TailSamplingConfig, shards count: Int, bytesMax: Int, seed: UInt64, sampler: String? = nil,
        doubles: CallDoublesFinder? = nil, account: (any ByteAccount)? = nil, gauge: Gauge? = nil
    ) {
        let names = PolicyNames(config.policies.policies.map(\.name), sampler: sampler)
        let settings = TailShard.Settings(config, shards: count)
        self.names = names
        self.seed = seed
        self.bytesMax = bytesMax
        self.account = account
        self.gauge = gauge
        shards = (0..<count).map { _ in
            let judge = TailJudge(config.policies, shards: count, seed: TailLimits.drawSeed)
            return Shard(TailShard(settings: settings, judge: judge, seed: seed, reasons: names, doubles: doubles))
        }
    }

    deinit {
        account?.release(charged.load(ordering: .acquiring))
        gauge?.add(-traces.load(ordering: .acquiring))
    }

    /// Undecided ones.
    var traceCount: Int { traces.load(ordering: .relaxed) }
    /// Of requests that are held because of undecided traces.
    var heldBytes: Int { held.count }
    var spanCount: Int { shards.reduce(0) { $0 + $1.state.withLock { $0.spanCount } } }
    var bookkeepingBytes: Int { shards.reduce(0) { $0 + $1.state.withLock { $0.bookkeepingBytes } } }

    var nextDeadline: Int64? { shards.compactMap { $0.state.withLock { $0.nextDeadline } }.min() }

    private func change<Result>(_ shard: Shard, _ body: (inout TailShard) -> Result) -> Result {
        let (result, traces, bytes) = shard.state.withLock { shard in
            let before = (traces: shard.traceCount, bytes: shard.ownBytes)
            let result = body(&shard)
            return (result, shard.traceCount - before.traces, shard.ownBytes - before.bytes)
        }
        if traces != 0 {
            self.traces.wrappingAdd(traces, ordering: .relaxed)
            gauge?.add(traces)
        }
        if bytes != 0 {
            charged.wrappingAdd(bytes, ordering: .relaxed)
            if bytes > 0 { account?.charge(bytes) } else { account?.release(-bytes) }
        }
        return result
    }

    /// - Parameter now: nanoseconds on the sampler's clock.
    func add(_ batch: SpanBatch, now: Int64) -> TailOutput {
        var output = TailOutput()
        var last: (batch: TraceBatch, request: HeldRequest)?
        for slice in batch.slices {
            // A sampler before us leaves many slices of one request, side by side.
            let isSame = last.map { $0.batch === slice.batch } ?? false
            let request = isSame ? last?.request : nil
            let own = request ?? HeldRequest(bytes: slice.batch.byteCount, account: held)
            last = (slice.batch, own)
            for (index, runs) in split(slice).enumerated() where !runs.isEmpty {
                change(shards[index]) { $0.add(slice, runs, request: own, now: now, output: &output) }
            }
        }
        if held.count > bytesMax { relieve(&output) }
        return output
    }

    /// The slice's spans by shard, spans of one trace that lie side by side as one run.
    private func split(_ slice: SpanSlice) -> [[TailShard.NewRun]] {
        var byShard = [[TailShard.NewRun]](repeating: [], count: shards.count)
        var begin = slice.range.lowerBound
        while begin < slice.range.upperBound {
            let trace = slice.batch[begin].traceID
            var end = begin + 1
            while end < slice.range.upperBound, slice.batch[end].traceID == trace { end += 1 }
            let hash = KeyedHash.of(trace, seed: seed)
            byShard[shardIndex(hash)].append(TailShard.NewRun(start: begin, count: end - begin, hash: hash))
            begin = end
        }
        return byShard
    }

    /// The tables use the low bits.
    @inline(__always)
    private func shardIndex(_ hash: UInt64) -> Int { shards.count == 1 ? 0 : Int(hash >> 32) % shards.count }

    /// Decides about the oldest traces until enough requests can go.
    private func relieve(_ output: inout TailOutput) {
        let target = Int(Double(bytesMax) * Self.relievedFraction)
        var isGoingOn = true
        while isGoingOn, held.count > target {
            isGoingOn = false
            for shard in shards {
                isGoingOn =
                    change(shard) { shard in
                        (0..<Self.decisionsPerTurn / 4).reduce(false) { any, _ in shard.decideOldest(.overflow, &output) || any }
                    } || isGoingOn
            }
        }
    }

    /// Decides about what is due.
    func decideDue(now: Int64) -> TailOutput {
        var output = TailOutput()
        for shard in shards {
            while change(shard, { $0.decideDue(now: now, limit: Self.decisionsPerTurn, output: &output) }) {}
        }
        return output
    }

    /// Decides about half of what waits, the older one: there is no memory left.
    func decideOldest(half cause: DecisionCause) -> TailOutput {
        var output = TailOutput()
        for shard in shards {
            change(shard) { shard in
                for _ in 0..<(shard.traceCount + 1) / 2 { shard.decideOldest(cause, &output) }
            }
        }
        return output
    }

    /// Decides about everything that waits.
    func decideAll(_ cause: DecisionCause) -> TailOutput {
        var output = TailOutput()
        for shard in shards { while change(shard, { $0.decideOldest(cause, &output) }) {} }
        return output
    }

    /// Everything that waits, undecided.
    func takeAll() -> [SpanSlice] { shards.flatMap { change($0) { $0.takeAll() } } }

    /// Has late spans share the fate that `former` gives their traces, until it hands its decisions over. Both must have one seed.
    func succeed(_ former: TailShards) {
        let decisions = FormerDecisions(former)
        for shard in shards { shard.state.withLock { $0.succeed(decisions) } }
    }

    /// Gives everything that is remembered to the successor, which does not look here any more then.
    func handOver(to successor: TailShards) {
        var byShard = [DecisionCache.Contents](repeating: DecisionCache.Contents(), count: successor.shards.count)
        for shard in shards {
            let decisions = shard.state.withLock { $0.decisions }
            for entry in decisions.kept {
                let number = successor.names.number(of: names[Int(entry.kept.policy)])
                let kept = DecisionCache.Kept(policy: UInt16(clamping: number), adjustedCount: entry.kept.adjustedCount)
                byShard[successor.shardIndex(KeyedHash.of(entry.id, seed: seed))].kept.append((entry.id, kept))
            }
            for hash in decisions.dropped { byShard[successor.shardIndex(hash)].dropped.append(hash) }
        }
        for (shard, decisions) in zip(successor.shards, byShard) {
            successor.change(shard) { shard in
                shard.insert(decisions)
                shard.succeed(nil)
            }
        }
    }

    func fate(of id: TraceID) -> FormerDecisions.Fate? {
        shards[shardIndex(KeyedHash.of(id, seed: seed))].state.withLock { $0.fate(of: id) }
    }

    /// Takes note of what a former run has decided.
    func remember(_ notes: [DecisionNote]) {
        var byShard = [[DecisionNote]](repeating: [], count: shards.count)
        for note in notes { byShard[shardIndex(KeyedHash.of(note.id, seed: seed))].append(note) }
        for (shard, own) in zip(shards, byShard) where !own.isEmpty { change(shard) { $0.remember(own) } }
    }
}

extension TailShard.Settings {
    /// One shard's part of a sampler's settings.
    init(_ config: TailSamplingConfig, shards: Int) {
        func part(_ whole: Int) -> Int { (whole + shards - 1) / shards }
        decisionWait = config.decisionWait.nanoseconds
        rootWait = config.decisionWaitAfterRootReceived > .zero ? config.decisionWaitAfterRootReceived.nanoseconds : nil
        // Producers that wait are stopped at the door, with what is on its way still getting in: this is only for those who do not ask.
        tracesMax = max(part(config.numTraces), 1) * (config.blockOnOverflow ? 2 : 1)
        traceBytesMax = config.maximumTraceSizeBytes
        decidesEarly = config.decideEarly
        keptCacheSize = part(config.sampledCacheSize)
        droppedCacheSize = part(config.nonSampledCacheSize)
    }
}

extension Duration {
    /// At most some 292 years.
    var nanoseconds: Int64 {
        let (whole, isTooLong) = components.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isStillTooLong) = whole.addingReportingOverflow(components.attoseconds / 1_000_000_000)
        return isTooLong || isStillTooLong ? (components.seconds < 0 ? .min : .max) : sum
    }
}
