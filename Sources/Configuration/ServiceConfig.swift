/// The `service` part of the configuration: what runs, and how the collector reports about itself.
public struct ServiceConfig: Sendable {
    public enum LogLevel: String, CaseIterable, Sendable { case debug, info, warn, error }
    public enum LogEncoding: String, CaseIterable, Sendable { case console, json }
    public enum MetricsLevel: String, CaseIterable, Sendable { case none, basic, normal, detailed }

    public let logLevel: LogLevel
    public let logEncoding: LogEncoding
    public let metricsLevel: MetricsLevel
    /// Of the Prometheus endpoint.
    public let metricsAddress: Endpoint
    /// From the first signal until the process gives up waiting for requests and exports.
    public let shutdownTimeout: Duration
    /// Nil: requests are answered when they are in memory, as in the Go collector.
    public let writeAheadLog: WriteAheadLogConfig?
    public let extensions: [ComponentReference]
    public let pipelines: [PipelineConfig]

    /// - Parameter signals: the signals this build can carry, `traces` and so on.
    init(from section: ConfigSection, signals: [String]) {
        let telemetry = section.section("telemetry") ?? section.absent("telemetry")
        let logs = telemetry.section("logs") ?? telemetry.absent("logs")
        logLevel = logs.choice("level", default: .info)
        logEncoding = logs.choice("encoding", default: .console)
        let metrics = telemetry.section("metrics") ?? telemetry.absent("metrics")
        metricsLevel = metrics.choice("level", default: .normal)
        metricsAddress = metrics.endpoint("address", default: Endpoint(host: "localhost", port: 8888))
        shutdownTimeout = section.duration("shutdown_timeout", default: .seconds(15))
        writeAheadLog = section.section("write_ahead_log").map(WriteAheadLogConfig.init(from:))
        extensions = section.references("extensions")
        pipelines = section.section("pipelines").map { PipelineConfig.all(from: $0, signals: signals) } ?? []
        if pipelines.isEmpty { section.problem("at least one pipeline is needed under service.pipelines", at: "pipelines") }
    }
}

/// `service.write_ahead_log`: where requests are kept until they are exported.
public struct WriteAheadLogConfig: Sendable, Equatable {
    public enum Sync: String, CaseIterable, Sendable { case always, interval }

    public let directory: String
    public let maxSizeMiB: Int
    public let segmentMiB: Int
    /// `always`: a request is answered when it is on disk. `interval`: when it is written; a power cut may cost the last
    /// `syncInterval`.
    public let sync: Sync
    /// Of `interval`.
    public let syncInterval: Duration
    /// How long a request that is sent again is recognised; zero = not at all.
    public let dedupWindow: Duration

    init(from section: ConfigSection) {
        directory = section.string("directory", default: "./data/wal")
        maxSizeMiB = section.int("max_size_mib", default: 2048, in: 2...16_777_216)
        segmentMiB = section.int("segment_mib", default: min(64, max(1, maxSizeMiB / 2)), in: 1...1024)
        sync = section.choice("sync", default: .always)
        syncInterval = section.duration("sync_interval", default: .seconds(1))
        dedupWindow = section.duration("dedup_window", default: .seconds(600))
        if directory.isEmpty { section.problem("a directory is needed", at: "directory") }
        if maxSizeMiB < 2 * segmentMiB {
            section.problem("max_size_mib (\(maxSizeMiB)) must hold two segments of segment_mib (\(segmentMiB))", at: "max_size_mib")
        }
        if syncInterval <= .zero { section.problem("sync_interval must be longer than 0", at: "sync_interval") }
        section.finish()
    }
}

/// A component's id where something refers to it.
public struct ComponentReference: Sendable {
    public let id: ComponentID
    let location: SourceLocation
}

/// One of `service.pipelines`: receivers, then processors in order, then all exporters.
public struct PipelineConfig: Sendable {
    /// `traces` or `traces/name`.
    public let id: ComponentID
    public let receivers: [ComponentReference]
    public let processors: [ComponentReference]
    public let exporters: [ComponentReference]

    static func all(from pipelines: ConfigSection, signals: [String]) -> [PipelineConfig] {
        pipelines.keys.compactMap { key in
            guard let id = ComponentID(key) else {
                _ = pipelines.section(key)
                pipelines.problem("a pipeline is named traces or traces/name", at: key)
                return nil
            }
            guard let section = pipelines.section(key) else { return nil }
            if !signals.contains(id.type) {
                let hint = KeySuggestion.hint(for: id.type, among: signals)
                section.problem("pipelines of type '\(id.type)' are not built in (known: \(signals.joined(separator: ", ")))\(hint)")
            }
            return PipelineConfig(id: id, from: section)
        }
    }

    private init(id: ComponentID, from section: ConfigSection) {
        self.id = id
        receivers = section.references("receivers")
        processors = section.references("processors")
        exporters = section.references("exporters")
        for (key, list) in [("receivers", receivers), ("exporters", exporters)] where list.isEmpty {
            section.problem("a pipeline needs at least one of its \(key)", at: key)
        }
    }
}
