import Configuration
import Pipeline

/// `exporters.timescaledb`: what the user writes.
public struct TimescaleDBConfig: Sendable {
    /// Which indexes a new `traces` table gets.
    public enum Indexes: String, CaseIterable, Sendable {
        case standard
        /// What looking up a trace, a project's or any recent spans needs.
        case minimal
        case none
    }

    public enum SSLMode: String, CaseIterable, Sendable {
        case disable, allow, prefer, require
        case verifyCA = "verify-ca"
        case verifyFull = "verify-full"
    }

    var connection = ConnectionOptions()
    var schema = SQLIdentifier(name: "public")
    var autoMigrate = true
    var indexes = Indexes.standard
    var chunkInterval = Duration.seconds(24 * 3_600)
    /// Zero = never.
    var compressAfter = Duration.seconds(168 * 3_600)
    /// Zero = for ever.
    var retention = Self.defaultRetention
    /// Partitions by project in addition to those by time; 0 = none.
    var spacePartitions = 0
    var timestampWindow = TimestampWindow(past: Self.defaultRetention, future: .seconds(3_600))
    var batchRows = 5_000
    var flushInterval = Duration.milliseconds(200)
    var queue = ExportQueueConfig(numConsumers: 4)
    var retry = RetryConfig()

    private static let defaultRetention = Duration.seconds(2_160 * 3_600)

    /// Where the rows go, for people: host and database, no credentials.
    public var destination: String { connection.destination }

    /// Memory that the writers hold besides the batches: a row buffer and libpq's output buffer each.
    public var bufferBytes: Int { queue.numConsumers * 2 * TimescaleDBLimits.copyBufferKeptBytes }

    init(connection: ConnectionOptions) {
        self.connection = connection
    }

    public init(from section: ConfigSection) {
        connection = Self.connection(from: section)
        schema = Self.schema(from: section)
        autoMigrate = section.bool("auto_migrate", default: true)
        indexes = section.choice("indexes", default: Indexes.standard)
        chunkInterval = section.duration("chunk_interval", default: chunkInterval)
        compressAfter = section.duration("compress_after", default: compressAfter)
        retention = section.duration("retention", default: retention)
        spacePartitions = section.int("space_partitions", default: 0, in: 0...64)
        timestampWindow = Self.window(from: section.section("timestamp_window"), retention: retention)
        let consumers = section.int("num_consumers", default: 4, in: 1...TimescaleDBLimits.consumersMax)
        batchRows = section.int("batch_rows", default: batchRows, in: 1...TimescaleDBLimits.batchRowsMax)
        flushInterval = section.duration("flush_interval", default: flushInterval)
        queue = ExportQueueConfig(from: section.section("sending_queue"), numConsumers: consumers)
        retry = RetryConfig(from: section.section("retry_on_failure"))
        check(section)
        section.finish()
    }

    private mutating func check(_ section: ConfigSection) {
        if queue.numConsumers > TimescaleDBLimits.consumersMax {
            section.problem("at most \(TimescaleDBLimits.consumersMax) consumers: each holds a connection", at: "sending_queue")
        }
        let hour = Duration.seconds(3_600)
        if chunkInterval < hour || chunkInterval > hour * 24 * 366 {
            section.problem("must be from 1h to 8784h", at: "chunk_interval")
        }
        if retention > .zero, retention < chunkInterval {
            section.problem("must not be shorter than chunk_interval: chunks are dropped whole", at: "retention")
        }
        if compressAfter > .zero, retention > .zero, compressAfter >= retention {
            section.problem("must be shorter than retention, or 0", at: "compress_after")
        }
    }

    private static func window(from section: ConfigSection?, retention: Duration) -> TimestampWindow {
        let past = retention > .zero ? retention : defaultRetention
        return TimestampWindow(
            past: section?.duration("past", default: past) ?? past,
            future: section?.duration("future", default: .seconds(3_600)) ?? .seconds(3_600))
    }

    private static func schema(from section: ConfigSection) -> SQLIdentifier {
        let name = section.string("schema", default: "public")
        let isPlain =
            !name.isEmpty && name.utf8.count <= TimescaleDBLimits.identifierBytesMax && !name.unicodeScalars.contains { $0.value < 0x20 }
        if !isPlain || name.hasPrefix("pg_") {
            section.problem(
                "must be a schema name of 1 to \(TimescaleDBLimits.identifierBytesMax) bytes that does not begin with pg_", at: "schema")
        }
        return SQLIdentifier(name: name)
    }

    private static func connection(from section: ConfigSection) -> ConnectionOptions {
        var options = ConnectionOptions()
        let dsn = section.secret("dsn")
        if let dsn {
            if ConnectionOptions.isValid(dsn: dsn) {
                options.dsn = dsn
            } else {
                section.problem("is no PostgreSQL connection string: postgresql://user:password@host:5432/database", at: "dsn")
            }
        }
        for key in ["host", "user", "database", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"] {
            guard let value = section.string(key) else { continue }
            options.parameters.append((key == "database" ? "dbname" : key, value))
        }
        if let port = section.int("port", in: 1...65_535) { options.parameters.append(("port", "\(port)")) }
        if let password = section.secret("password") { options.parameters.append(("password", password)) }
        if section.has("sslmode") {
            options.parameters.append(("sslmode", section.choice("sslmode", default: SSLMode.prefer).rawValue))
        }
        if dsn != nil, section.has("host") || section.has("database") {
            section.problem("give either dsn or host and database", at: "dsn")
        }
        if dsn == nil, !section.has("host") { section.problem("dsn or host is needed") }
        options.connectTimeout = section.duration("connect_timeout") ?? options.connectTimeoutOfDSN ?? options.connectTimeout
        if options.connectTimeout <= .zero { section.problem("must be longer than 0", at: "connect_timeout") }
        return options
    }
}
