/// The `service` part of the configuration: what runs, and how the collector reports about itself.
public struct ServiceConfig {
    public enum LogLevel: String, CaseIterable, Sendable { case debug, info, warn, error }
    public enum LogEncoding: String, CaseIterable, Sendable { case console, json }
    public enum MetricsLevel: String, CaseIterable, Sendable { case none, basic, normal, detailed }

    public let logLevel: LogLevel
    public let logEncoding: LogEncoding
    public let metricsLevel: MetricsLevel
    /// `host:port` of the Prometheus endpoint.
    public let metricsAddress: String
    /// From the first signal until the process gives up waiting for requests and exports.
    public let shutdownTimeout: Duration
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
        metricsAddress = metrics.string("address", default: "localhost:8888")
        shutdownTimeout = section.duration("shutdown_timeout", default: .seconds(15))
        if section.has("write_ahead_log") {
            section.problem("the write-ahead log is not built in yet: remove the key", at: "write_ahead_log")
        }
        extensions = section.references("extensions")
        pipelines = section.section("pipelines").map { PipelineConfig.all(from: $0, signals: signals) } ?? []
        if pipelines.isEmpty { section.problem("at least one pipeline is needed under service.pipelines", at: "pipelines") }
    }
}

/// A component's id where something refers to it.
public struct ComponentReference {
    public let id: ComponentID
    let location: SourceLocation
}

/// One of `service.pipelines`: receivers, then processors in order, then all exporters.
public struct PipelineConfig {
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
