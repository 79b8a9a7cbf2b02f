/// Bounds of the daemon itself. Those of a module are in the module.
enum CollectorLimits {
    // Memory: see MemoryPlan, which adds it up.

    /// Without a `memory_limiter`: bytes that requests may hold from their first body byte until they are exported.
    static let memoryBudgetBytes = 96 << 20
    /// Without a `memory_limiter`: the part of it that only requests that are in already may use. As the Go collector's spike limit.
    static let spikeFraction = 0.2
    /// What is not counted: code and libraries (30 MiB idle), connections (1,000 take 20 MiB), the allocator's slack.
    static let processBytes = 64 << 20
    /// The smallest limit that is kept: two requests of a megabyte at a time and the pools.
    static let totalBytesMin = 16 << 20
    /// Requests get at least one part in so many of the limit, whatever exporters' buffers take.
    static let requestPartMin = 4
    /// The limit for which pools have their full size.
    static let poolScaleBytes = 192 << 20
    /// Decoder chunks kept: what an exporter frees at once when it has written a batch of 5,000 ordinary spans.
    static let chunkPoolBytesMax = 8 << 20
    /// Body buffers kept, per listener and event loop: eight connections that each send 400 KB requests.
    static let bodyPoolBytesMax = 4 << 20
    /// Body bytes that may come in within granted windows when there is no room, per listener and event loop.
    static let unreservedBytesMax = 16 << 20
    /// One read of a socket.
    static let unreservedBytesMin = 64 << 10
    /// Buffers for decompression and JSON that are kept, per listener and event loop: a JSON request of 512 spans needs 5 MiB.
    static let decodingBytesMax = 6 << 20
    /// Fingerprints of requests that the log keeps.
    static let fingerprintBytesMax = 16 << 20
    /// What waits in exporters' queues may take this part of the soft limit, so that a stuck exporter leaves room for the others.
    static let queueFraction = 0.6
    /// Undecided traces of a tail sampler may hold this much where neither `max_memory_mib` nor a `memory_limiter` says otherwise: what
    /// 20,000 spans a second of 700 bytes are in the default `decision_wait`. At most this part of the memory there is.
    static let undecidedBytes = 512 << 20
    static let undecidedPart = 4
    /// With a limit: the part of a pipeline's share that undecided traces may hold. The rest is for what waits for the exporter.
    static let undecidedFraction = 0.6
    /// The memory that percentages are of when the kernel does not tell.
    static let assumedMemoryBytes = 1 << 30

    /// Part of `shutdown_timeout` that requests in flight may take to finish, so that time is left to export them.
    static let receiverShare = 0.4
    /// Part of `shutdown_timeout` until which pipelines are still fed from the write-ahead log.
    static let entryShare = 0.5
    /// Part of `shutdown_timeout` after which processors must have handed on what they hold.
    static let processorShare = 0.6
    /// Part of `shutdown_timeout` after which exporters give up, so that the process ends within it.
    static let exporterShare = 0.9
    /// Part of `shutdown_timeout` after which the write-ahead log must be closed.
    static let logShare = 0.99
    /// How long receivers wait for the write-ahead log at the start: clients that are refused come back after about as long.
    static let logOpenWait = Duration.seconds(2)
    /// How often they look whether it takes requests.
    static let logOpenPollInterval = Duration.milliseconds(5)
    /// After `shutdown_timeout`: how long the process may take to end by itself before it is ended.
    static let exitGrace = Duration.seconds(1)
    /// How long the last log line may take when the process is ended by force.
    static let lastWordsTimeout = Duration.milliseconds(200)
    /// Time for health and metrics requests in flight at the very end.
    static let adminShutdown = Duration.milliseconds(200)
    /// Bodies of requests to the health and metrics endpoints, which need none.
    static let adminBodyBytesMax = 4 << 10
    /// Connections to the health and metrics endpoints: probes and scrapers.
    static let adminConnectionsMax = 64
    /// Bytes of an answer that `collector healthcheck` reads.
    static let adminAnswerBytesMax = 1 << 20
}
