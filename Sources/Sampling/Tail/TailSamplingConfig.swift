import Configuration

/// `processors.tail_sampling`: keys and defaults of the Go collector's processor, and ours: `num_shards` (one per core by default),
/// `max_memory_mib`, `decide_early`, larger decision caches.
public struct TailSamplingConfig: Sendable {
    /// How long a trace is held, from its first span on.
    public var decisionWait = Duration.seconds(30)
    /// How long a trace is held once its root has come; 0 = as without a root.
    public var decisionWaitAfterRootReceived = Duration.zero
    /// Traces held at most; with one more the oldest is decided early.
    public var numTraces = 50_000
    /// Accepted for the Go collector's configurations: our tables grow as they need.
    public var expectedNewTracesPerSec = 0
    /// Whether producers wait at `numTraces`, instead of the oldest trace being decided early.
    public var blockOnOverflow = false
    /// Traces whose decision is remembered for late spans: kept ones, and dropped ones.
    public var sampledCacheSize = 500_000
    public var nonSampledCacheSize = 500_000
    /// The first policy that keeps a trace decides, without asking the rest.
    public var sampleOnFirstMatch = false
    /// Wire bytes of a trace's spans; larger ones are dropped; 0 = no limit.
    public var maximumTraceSizeBytes = 0
    /// Whether traces pending at shutdown are dropped, instead of decided with what has come.
    public var dropPendingTracesOnShutdown = false
    /// 0 = one per core.
    public var numShards = 0
    /// Memory of the requests that pending traces hold; nil = the pipeline's share alone.
    public var maxMemoryMiB: Int?
    /// Whether a trace leaves as soon as no further span can change its decision, its reason or its adjusted count.
    public var decideEarly = true
    /// `policies`, compiled.
    var policies = TailPolicies()

    private static let tracesRange = 1...100_000_000
    private static let cacheRange = 0...1_000_000_000
    /// A cache of decisions is this many times as large as the table of traces, so that it outlasts them.
    private static let cacheFactor = 10
    /// Each shard is a table and a timer of its own; more than this only cost memory.
    private static let shardsRange = 0...256
    private static let bytesRange = 0...1_099_511_627_776
    private static let mebibytesRange = 1...1_048_576

    public init() {}

    public init(from section: ConfigSection) {
        decisionWait = section.duration("decision_wait", default: decisionWait)
        decisionWaitAfterRootReceived = section.duration("decision_wait_after_root_received", default: decisionWaitAfterRootReceived)
        numTraces = section.int("num_traces", default: numTraces, in: Self.tracesRange)
        expectedNewTracesPerSec = section.int("expected_new_traces_per_sec", default: expectedNewTracesPerSec, in: Self.cacheRange)
        blockOnOverflow = section.bool("block_on_overflow", default: blockOnOverflow)
        sampledCacheSize = numTraces * Self.cacheFactor
        nonSampledCacheSize = numTraces * Self.cacheFactor
        if let cache = section.section("decision_cache") {
            sampledCacheSize = cache.int("sampled_cache_size", default: sampledCacheSize, in: Self.cacheRange)
            nonSampledCacheSize = cache.int("non_sampled_cache_size", default: nonSampledCacheSize, in: Self.cacheRange)
        }
        sampleOnFirstMatch = section.bool("sample_on_first_match", default: sampleOnFirstMatch)
        maximumTraceSizeBytes = section.int("maximum_trace_size_bytes", default: maximumTraceSizeBytes, in: Self.bytesRange)
        dropPendingTracesOnShutdown = section.bool("drop_pending_traces_on_shutdown", default: dropPendingTracesOnShutdown)
        numShards = section.int("num_shards", default: numShards, in: Self.shardsRange)
        maxMemoryMiB = section.int("max_memory_mib", in: Self.mebibytesRange)
        decideEarly = section.bool("decide_early", default: decideEarly)
        policies = PolicyCompiler.compile(section, key: "policies")
        policies.stopsAtFirstMatch = sampleOnFirstMatch
        section.finish()
    }
}
