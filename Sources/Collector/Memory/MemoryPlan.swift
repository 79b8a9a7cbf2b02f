import Pipeline

/// The memory budget as a sum: who may take how much, and whether the whole fits the memory there is.
///
/// `limit_mib` of a `memory_limiter` is the sum of everything that is bounded here, as in the Go collector it is the heap. What
/// is left of it after the pools is the budget of requests, from their first byte until they are exported. Code, libraries,
/// connections and the allocator's slack come on top (`CollectorLimits.processBytes`), as in the Go collector some 50 MiB do.
struct MemoryPlan: Equatable, Sendable {
    struct Part: Equatable, Sendable {
        let name: String
        let bytes: Int
    }

    /// What the configuration asks for.
    struct Demand: Equatable, Sendable {
        var limiters: [MemoryLimiterConfig] = []
        /// What undecided traces may hold, for each tail sampler: `.max` where nothing was said.
        var undecidedBytes: [Int] = []
        /// What each exporter's workers hold besides the batches: row buffers, a store's cache.
        var exporterBytes: [Int] = []
        var listeners = 0
        var eventLoops = 1
        var pipelines = 1
        var hasLog = false
    }

    let limits: MemoryLimits
    /// Bytes that may wait in one exporter's queue; `.max` where the budget alone bounds it.
    let queueBytesMax: Int
    /// With the write-ahead log: bytes that one pipeline may hold in all its stages; the rest waits in the log.
    let pipelineBytesMax: Int
    /// What undecided traces of one tail sampler may hold, at most what it was given.
    let undecidedBytesMax: Int
    /// Decoder chunks kept for the next request.
    let chunkPoolBytes: Int
    /// Body buffers kept for the next request, per listener and event loop.
    let bodyPoolBytes: Int
    /// Body bytes that have come although there was no room, per listener and event loop.
    let unreservedBytesMax: Int
    /// Buffers for decompression and JSON that are kept for the next request, per listener and event loop.
    let decodingBytes: Int
    /// Fingerprints of requests, to recognise those that are sent again.
    let fingerprintBytesMax: Int
    /// Whether a `memory_limiter` or a small control group gave the limit.
    let isGiven: Bool
    let ceiling: MemoryCeiling?
    let parts: [Part]

    init(_ demand: Demand, ceiling: MemoryCeiling?) {
        self.ceiling = ceiling
        let places = max(1, demand.listeners * demand.eventLoops)
        let encoders = demand.exporterBytes.reduce(0, +)
        // The smallest limit holds.
        let bounds = demand.limiters.map { $0.bounds(totalBytes: ceiling?.bytes ?? CollectorLimits.assumedMemoryBytes) }
            .min { $0.limitBytes < $1.limitBytes }
        let pools = Pools(total: bounds?.limitBytes ?? CollectorLimits.poolScaleBytes, places: places, hasLog: demand.hasLog)
        let usual = min(CollectorLimits.undecidedBytes, (ceiling?.bytes ?? .max) / CollectorLimits.undecidedPart)
        let undecided = demand.undecidedBytes.map { $0 == .max ? usual : $0 }
        let ordinary = CollectorLimits.memoryBudgetBytes + undecided.reduce(0, +) + pools.bytes(places) + encoders
        let room = ceiling.map { max($0.bytes - CollectorLimits.processBytes, CollectorLimits.totalBytesMin) } ?? .max
        let total = bounds.map { max($0.limitBytes, CollectorLimits.totalBytesMin) } ?? min(ordinary, room)
        isGiven = bounds != nil || total < ordinary
        // Pools are sized once more when a small control group has lowered the total.
        let scaled = isGiven ? Pools(total: total, places: places, hasLog: demand.hasLog) : pools
        chunkPoolBytes = scaled.chunks
        bodyPoolBytes = scaled.bodiesEach
        unreservedBytesMax = scaled.unreservedEach
        decodingBytes = scaled.decodingEach
        fingerprintBytesMax = scaled.fingerprints

        let requests = max(total - scaled.bytes(places) - encoders, total / CollectorLimits.requestPartMin)
        let spike = bounds.map { Double($0.spikeBytes) / Double(max($0.limitBytes, 1)) } ?? CollectorLimits.spikeFraction
        // Without a limit, what undecided traces hold is on top of the requests' ordinary budget.
        let added = isGiven ? 0 : undecided.reduce(0, +)
        let soft = max(1, Int(Double(requests - added) * (1 - spike))) + added
        limits = MemoryLimits(softBytes: soft, hardBytes: requests, takesOversized: !isGiven)
        let share = Int(Double(soft - added) * CollectorLimits.queueFraction) / max(1, demand.exporterBytes.count)
        // The only exporter, without the log: nobody needs what its queue does not take, and the budget slows clients down where a full
        // queue would send them away.
        let isAlone = demand.exporterBytes.count <= 1 && !demand.hasLog
        queueBytesMax = isAlone ? .max : max(1, share)
        let pipelineShare = max(1, Int(Double(soft - added) * CollectorLimits.queueFraction) / max(1, demand.pipelines))
        pipelineBytesMax = pipelineShare + (isGiven ? 0 : undecided.max() ?? 0)
        undecidedBytesMax = isGiven ? Int(Double(pipelineShare) * CollectorLimits.undecidedFraction) : undecided.max() ?? 0
        parts = [
            Part(name: "requests", bytes: requests), Part(name: "decoder_pool", bytes: scaled.chunks),
            Part(name: "body_pools", bytes: scaled.bodiesEach * places), Part(name: "body_windows", bytes: scaled.unreservedEach * places),
            Part(name: "decoding_buffers", bytes: scaled.decodingEach * places),
            Part(name: "exporter_buffers", bytes: encoders), Part(name: "log_fingerprints", bytes: scaled.fingerprints),
            Part(name: "process", bytes: CollectorLimits.processBytes),
        ].filter { $0.bytes > 0 }
    }

    /// What all of it may come to.
    var sumBytes: Int { parts.reduce(0) { $0 + $1.bytes } }

    var exceedsCeiling: Bool { ceiling.map { sumBytes > $0.bytes } ?? false }

    /// Memory kept to be used again, and tables, as parts of the total.
    private struct Pools {
        let chunks: Int
        let bodiesEach: Int
        let unreservedEach: Int
        let decodingEach: Int
        let fingerprints: Int

        init(total: Int, places: Int, hasLog: Bool) {
            chunks = min(CollectorLimits.chunkPoolBytesMax, total / 16)
            bodiesEach = min(CollectorLimits.bodyPoolBytesMax, total / 16 / places)
            unreservedEach = max(min(CollectorLimits.unreservedBytesMax, total / 16 / places), CollectorLimits.unreservedBytesMin)
            decodingEach = min(CollectorLimits.decodingBytesMax, total / 8 / places)
            fingerprints = hasLog ? min(CollectorLimits.fingerprintBytesMax, total / 8) : 0
        }

        func bytes(_ places: Int) -> Int { chunks + (bodiesEach + unreservedEach + decodingEach) * places + fingerprints }
    }
}
