import Glibc
import Logging
import OTLPWire
import Pipeline
import SelfTelemetry
import Testing

@testable import Exporters

/// The PostgreSQL server of this test run (`scripts/with-postgres`); tests that need it are skipped without one.
enum TestServer {
    static let url = getenv("COLLECTOR_TEST_DATABASE_URL").map { String(cString: $0) }

    /// Says so, loudly and once, when the server cannot do it.
    static let hasTimescaleDB: Bool = {
        guard let url, let connection = try? Connection(ConnectionOptions(dsn: url), interrupter: Interrupter()) else { return false }
        let found = try? connection.query("select 1 from pg_available_extensions where name = 'timescaledb'")
        let isThere = found?.isEmpty == false
        if !isThere { print("\n*** TIMESCALEDB IS NOT AVAILABLE ON THE TEST SERVER: ITS TESTS ARE SKIPPED ***\n") }
        return isThere
    }()
}

extension Trait where Self == ConditionTrait {
    static var needsPostgreSQL: Self {
        .enabled(if: TestServer.url != nil, "COLLECTOR_TEST_DATABASE_URL is not set: no PostgreSQL to test with")
    }

    static var needsTimescaleDB: Self {
        .enabled(if: TestServer.url != nil && TestServer.hasTimescaleDB, "TimescaleDB is not available on the test server")
    }
}

/// A database of its own, dropped at the end.
final class TestDatabase {
    let name: String
    let connection: Connection
    let options: ConnectionOptions
    private let server: ConnectionOptions

    private init(_ url: String) throws {
        server = ConnectionOptions(dsn: url)
        name = "collector_\(UInt64.random(in: .min ... .max))"
        try Connection(server, interrupter: Interrupter()).query("create database \(name) template template0 encoding 'UTF8'")
        options = ConnectionOptions(dsn: url, parameters: [("dbname", name), ("sslmode", "disable")])
        connection = try Connection(options, interrupter: Interrupter())
    }

    static func with(_ body: (TestDatabase) throws -> Void) throws {
        let database = try TestDatabase(TestServer.url ?? "")
        defer { database.drop() }
        try body(database)
    }

    static func with(_ body: (TestDatabase) async throws -> Void) async throws {
        let database = try TestDatabase(TestServer.url ?? "")
        defer { database.drop() }
        try await body(database)
    }

    private func drop() {
        _ = try? Connection(server, interrupter: Interrupter()).query("drop database if exists \(name) with (force)")
    }

    /// Through a proxy, or as another user.
    func options(_ parameters: [(key: String, value: String)]) -> ConnectionOptions {
        var options = options
        options.parameters += parameters
        return options
    }

    /// First column of the first row.
    func value(_ sql: String) throws -> String? { try connection.query(sql).first?[0] }

    func count(_ table: String) throws -> Int { Int(try value("select count(*) from \(table)") ?? "") ?? -1 }

    /// A window that takes the model's fixed times for recent, and no background job that thinks otherwise.
    func config(_ options: ConnectionOptions? = nil) -> TimescaleDBConfig {
        var config = TimescaleDBConfig(connection: options ?? self.options)
        config.timestampWindow = CopyFile.window
        config.compressAfter = .zero
        config.retention = .zero
        return config
    }

    @discardableResult
    func migrate(_ change: (inout TimescaleDBConfig) -> Void = { _ in }) throws -> MigrationReport {
        var config = config()
        change(&config)
        return try TimescaleDBExporter.migrate(config: config, logger: Silent.logger)
    }

    /// A writer whose schema is taken to be in place.
    func writer(
        _ config: TimescaleDBConfig? = nil, deadLetters: DeadLetterFile? = nil
    ) -> (writer: TimescaleDBWriter, context: TimescaleDBContext) {
        let config = config ?? self.config()
        let gate = SchemaGate()
        gate.open(SchemaFacts())
        let context = TimescaleDBContext(
            config: config, schema: gate, resources: ResourceStore(schema: config.schema),
            refresher: AggregateRefresher(config: config, schema: gate, logger: Silent.logger),
            metrics: TimescaleDBMetrics(registry: MetricRegistry(), exporter: "timescaledb"), deadLetters: deadLetters)
        return (TimescaleDBWriter(context), context)
    }

    /// All spans in the table, rebuilt, in the order they started.
    func spans(schema: String = "public") throws -> [ModelSpan] {
        let binary = ["trace_id", "span_id", "parent_span_id"]
        let json = ["attributes", "events", "links"]
        let words = ["start_unix_nano", "duration_nano"]
        let halves = ["flags", "dropped_attributes", "dropped_events", "dropped_links"]
        let texts = ["name", "kind", "status_code", "status_message", "trace_state"]
        let columns = binary + json + words + halves + texts
        let list = columns.map { $0 == "trace_id" ? "replace(trace_id::text, '-', '')" : binary.contains($0) ? "encode(\($0), 'hex')" : $0 }
        let rows = try connection.query("select \(list.joined(separator: ", ")) from \(schema).traces order by start_unix_nano, span_id")
        return try rows.map { row in
            var fields: CopyFile.Row = [:]
            for (column, text) in zip(columns, row) {
                fields[column] = .some(
                    try text.map { text in
                        if binary.contains(column) { return try Rebuild.hex(Array(text.utf8)) }
                        if json.contains(column) { return [1] + Array(text.utf8) }
                        if words.contains(column) { return Self.bigEndian(Int64(text) ?? 0) }
                        if halves.contains(column) { return Array(Self.bigEndian(Int64(text) ?? 0).suffix(4)) }
                        return Array(text.utf8)
                    })
            }
            return try CopyRow(fields: fields).span()
        }
    }

    private static func bigEndian(_ value: Int64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
}

enum Silent {
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

extension Model {
    /// `count` plain spans with ids and starts of their own.
    static func spans(_ count: Int, first: Int = 0) -> [ModelSpan] {
        (first..<first + count).map { index in
            let start = noon + UInt64(index) * 1_000
            let spanID: [UInt8] = withUnsafeBytes(of: UInt64(index + 1).bigEndian) { Array($0) }
            return ModelSpan(
                spanID: spanID, name: Array("span \(index)".utf8), start: start, end: start + 500,
                attributes: [ModelAttribute("index", .int(Int64(index)))])
        }
    }
}
