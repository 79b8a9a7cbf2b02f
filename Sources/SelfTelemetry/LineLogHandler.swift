import Logging

/// swift-log's back end: turns events into lines for a `LogOutput`.
public struct LineLogHandler: LogHandler {
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let output: LogOutput
    /// Set by whoever wants this logger to differ from the others.
    private var ownLevel: Logger.Level?

    init(label: String, output: LogOutput) {
        self.label = label
        self.output = output
    }

    public var logLevel: Logger.Level {
        get { ownLevel ?? output.level }
        set { ownLevel = newValue }
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        let line = LogLine(
            time: LogLine.now(), level: event.level, logger: label, message: event.message.description,
            fields: all.map { ($0.key, $0.value.description) }.sorted { $0.0 < $1.0 })
        output.write(line.text(output.encoding))
    }
}

/// Makes loggers that share output and level: changing these on the output changes them for every logger made already.
public struct LoggerFactory: Sendable {
    public let output: LogOutput

    public init(level: Logger.Level, output: LogOutput) {
        output.level = level
        self.output = output
    }

    /// - Parameter name: the component's place in the configuration (`exporters.timescaledb/eu`) or a part of the collector (`service`).
    public func logger(_ name: String) -> Logger {
        Logger(label: name) { LineLogHandler(label: $0, output: output) }
    }
}
