import Glibc
import Logging
import Pipeline
import Testing
@testable import Exporters

/// Requests as the exporters that write text or SQLite get them.
enum Sample {
    static let start: UInt64 = 1_767_323_045_123_456_789  // 2026-01-02 03:04:05.123456789
    static let received: UInt64 = 1_767_323_100_000_000_000  // 2026-01-02 03:05:00

    /// A span whose id ends in `number`; its first byte is 1, as an id of zeros would be invalid.
    static func span(
        _ number: UInt64 = 1, start: UInt64 = Sample.start, duration: UInt64 = 12_500_000, attributes: [(String, ModelValue)] = []
    ) -> ModelSpan {
        ModelSpan(
            traceID: Array(0x10...0x1F), spanID: withUnsafeBytes(of: (number | 1 << 56).bigEndian) { Array($0) },
            name: Array("GET /orders".utf8), start: start, end: start &+ duration,
            attributes: attributes.map { ModelAttribute($0.0, $0.1) })
    }

    static func spans(_ numbers: Range<UInt64>, start: UInt64 = Sample.start) -> [ModelSpan] {
        numbers.map { span($0, start: start + $0, duration: 1_000_000) }
    }

    /// One request of `spans` from one resource and scope.
    static func batch(
        _ spans: [ModelSpan], resource: [(String, ModelValue)] = [("service.name", .text("shop"))],
        scope: (String, String) = ("http", "1.2"), received: UInt64 = Sample.received
    ) throws -> SpanBatch {
        let request = Model.request(
            spans, resource: resource.map { ModelAttribute($0.0, $0.1) }, schemaURL: "https://opentelemetry.io/schemas/1.26.0",
            scope: scope.0, scopeVersion: scope.1)
        return try Model.batch(request, received: received)
    }
}

/// A database file in a directory of its own, removed with it.
final class SQLiteFixture: Sendable {
    let directory: String
    let path: String
    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws {
        var template = Array("/tmp/sqlite-exporter-XXXXXX".utf8CString)
        directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        path = directory + "/data/telemetry.db"
    }

    deinit {
        Self.remove(directory)
    }

    private static func remove(_ path: String) {
        var entries: [String] = []
        if let handle = opendir(path) {
            while let entry = readdir(handle) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { entries.append("\(path)/\(name)") }
            }
            closedir(handle)
        }
        for entry in entries { remove(entry) }
        Glibc.remove(path)
    }

    var config: SQLiteConfig { SQLiteConfig(path: path) }

    func store(_ change: (inout SQLiteConfig) -> Void = { _ in }) -> SQLiteStore {
        var config = config
        change(&config)
        return SQLiteStore(config, logger: Self.quiet)
    }

    /// The rows of a query by a connection of its own, each value as an SQL literal: `'text'`, `1`, `1.5`, `NULL`.
    func rows(_ sql: String, columns: Int = 1) throws -> [[String]] {
        let connection = try SQLiteConnection(path: path)
        let names = (0..<columns).map { "c\($0)" }
        let quoted = names.map { "quote(\($0))" }.joined(separator: " || char(31) || ")
        let statement = try SQLiteStatement(connection, "with q(\(names.joined(separator: ", "))) as (\(sql)) select \(quoted) from q")
        var rows: [[String]] = []
        while try statement.step() {
            rows.append((statement.text(0) ?? "").split(separator: "\u{1F}", omittingEmptySubsequences: false).map(String.init))
        }
        return rows
    }

    /// The rows of a query, each value as the text it has or would have; nil for null.
    func texts(_ sql: String, columns: Int) throws -> [[[UInt8]?]] {
        let statement = try SQLiteStatement(try SQLiteConnection(path: path), sql)
        var rows: [[[UInt8]?]] = []
        while try statement.step() { rows.append((0..<Int32(columns)).map { statement.text($0).map { Array($0.utf8) } }) }
        return rows
    }

    /// The first column of the first row.
    func value(_ sql: String) throws -> String? { try rows(sql).first?.first }

    func execute(_ sql: String) throws { try SQLiteConnection(path: path).execute(sql) }
}
