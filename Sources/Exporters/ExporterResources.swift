import Pipeline

/// What the process gives an exporter beside its configuration.
public struct ExporterResources: Sendable {
    /// Its share of the memory budget, bytes.
    public var queueBytesMax: Int
    /// The write-ahead log is on: nothing that waits is given up for lack of time.
    public var isDurable: Bool
    /// Where dead-letter files go that are not configured: the log's directory. Nil: refused rows are lost then, and counted.
    public var deadLetterDirectory: String?

    public init(queueBytesMax: Int = .max, isDurable: Bool = false, deadLetterDirectory: String? = nil) {
        self.queueBytesMax = queueBytesMax
        self.isDurable = isDurable
        self.deadLetterDirectory = deadLetterDirectory
    }

    /// - Parameters:
    ///   - configured: `dead_letter_file`; empty for none, nil when it is not set.
    ///   - exporter: its id; names the file in the log's directory, where a slash cannot be.
    func deadLetterFile(_ configured: String?, exporter: String) -> DeadLetterFile? {
        if let configured { return configured.isEmpty ? nil : DeadLetterFile(path: configured, exporter: exporter) }
        guard let deadLetterDirectory else { return nil }
        let name = exporter.split(separator: "/").joined(separator: "-")
        return DeadLetterFile(path: "\(deadLetterDirectory)/dead-letter-\(name).jsonl", exporter: exporter)
    }
}
