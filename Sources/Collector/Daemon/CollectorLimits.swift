/// Bounds of the daemon itself. Those of a module are in the module.
enum CollectorLimits {
    /// Bytes that requests may hold from their first body byte until they are exported. Measured with a store slower than its
    /// clients, the rest of the process (35 MiB idle, allocator slack, pooled buffers, a store's cache) adds up to 75 MiB: under
    /// 200 MiB in all.
    static let memoryBudgetBytes = 96 << 20
    /// Part of `shutdown_timeout` that requests in flight may take to finish, so that time is left to export them.
    static let receiverShare = 0.4
    /// Part of `shutdown_timeout` after which processors must have handed on what they hold.
    static let processorShare = 0.6
    /// Part of `shutdown_timeout` after which exporters give up, so that the process ends within it.
    static let exporterShare = 0.95
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
