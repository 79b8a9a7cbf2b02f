import Glibc
import Logging
import OTLPWire
import Pipeline
import Testing
@testable import Exporters

/// An AnyValue to encode.
indirect enum SampleValue {
    case string(String)
    /// A string of bytes that need not be UTF-8.
    case text([UInt8])
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case bytes([UInt8])
    case array([SampleValue])
    case absent

    var encoded: [UInt8] {
        var out = SampleEncoder()
        switch self {
        case .string(let text): out.bytes(1, Array(text.utf8))
        case .text(let bytes): out.bytes(1, bytes)
        case .bool(let flag): out.varint(2, flag ? 1 : 0)
        case .int(let number): out.varint(3, UInt64(bitPattern: number))
        case .double(let number): out.fixed64(4, number.bitPattern)
        case .array(let values):
            var inner = SampleEncoder()
            for value in values { inner.bytes(1, value.encoded) }
            out.bytes(5, inner.output)
        case .bytes(let bytes): out.bytes(7, bytes)
        case .absent: break
        }
        return out.output
    }
}

extension SampleValue: ExpressibleByStringLiteral {
    init(stringLiteral value: String) { self = .string(value) }
}

/// Protobuf fields, the long way.
struct SampleEncoder {
    private(set) var output: [UInt8] = []

    mutating func varint(_ field: UInt64, _ value: UInt64) {
        raw(field << 3)
        raw(value)
    }

    mutating func bytes(_ field: UInt64, _ value: [UInt8]) {
        raw(field << 3 | 2)
        raw(UInt64(value.count))
        output += value
    }

    mutating func fixed64(_ field: UInt64, _ value: UInt64) {
        raw(field << 3 | 1)
        withUnsafeBytes(of: value.littleEndian) { output += $0 }
    }

    mutating func fixed32(_ field: UInt64, _ value: UInt32) {
        raw(field << 3 | 5)
        withUnsafeBytes(of: value.littleEndian) { output += $0 }
    }

    private mutating func raw(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }

    static func attributes(_ members: [(String, SampleValue)], field: UInt64) -> [UInt8] {
        var out = SampleEncoder()
        for (key, value) in members {
            var member = SampleEncoder()
            member.bytes(1, Array(key.utf8))
            member.bytes(2, value.encoded)
            out.bytes(field, member.output)
        }
        return out.output
    }
}

/// A span to encode; what is not set is left out.
struct SampleSpan {
    static let start: UInt64 = 1_767_323_045_123_456_789  // 2026-01-02 03:04:05.123456789

    /// The span id without its first byte, which is 1: an id of zeros would be invalid.
    var number: UInt64 = 1
    var traceID: [UInt8] = Array(0x10...0x1F)
    var parent: [UInt8] = []
    var name: [UInt8] = Array("GET /orders".utf8)
    var kind: UInt64 = 2
    var start = SampleSpan.start
    var end = SampleSpan.start + 12_500_000
    var attributes: [(String, SampleValue)] = []
    var traceState = ""
    var events: [(name: String, time: UInt64, attributes: [(String, SampleValue)], dropped: UInt64)] = []
    var links: [(traceID: [UInt8], spanID: [UInt8], attributes: [(String, SampleValue)])] = []
    var status: (code: UInt64, message: String) = (0, "")
    var flags: UInt32 = 0
    var dropped: (attributes: UInt64, events: UInt64, links: UInt64) = (0, 0, 0)

    var encoded: [UInt8] {
        var out = SampleEncoder()
        out.bytes(1, traceID)
        out.bytes(2, withUnsafeBytes(of: (number | 1 << 56).bigEndian) { Array($0) })
        out.bytes(3, Array(traceState.utf8))
        out.bytes(4, parent)
        out.bytes(5, name)
        out.varint(6, kind)
        out.fixed64(7, start)
        out.fixed64(8, end)
        var bytes = out.output + SampleEncoder.attributes(attributes, field: 9)
        var rest = SampleEncoder()
        rest.varint(10, dropped.attributes)
        for event in events {
            var inner = SampleEncoder()
            inner.fixed64(1, event.time)
            inner.bytes(2, Array(event.name.utf8))
            inner.varint(4, event.dropped)
            rest.bytes(11, inner.output + SampleEncoder.attributes(event.attributes, field: 3))
        }
        rest.varint(12, dropped.events)
        for link in links {
            var inner = SampleEncoder()
            inner.bytes(1, link.traceID)
            inner.bytes(2, link.spanID)
            rest.bytes(13, inner.output + SampleEncoder.attributes(link.attributes, field: 4))
        }
        rest.varint(14, dropped.links)
        var status = SampleEncoder()
        status.bytes(2, Array(self.status.message.utf8))
        status.varint(3, self.status.code)
        rest.bytes(15, status.output)
        rest.fixed32(16, flags)
        bytes += rest.output
        return bytes
    }
}

enum Sample {
    static let received: UInt64 = 1_767_323_100_000_000_000  // 2026-01-02 03:05:00

    /// One request of `spans` from one resource and scope.
    static func batch(
        _ spans: [SampleSpan], resource: [(String, SampleValue)] = [("service.name", "shop")], scope: (String, String) = ("http", "1.2"),
        received: UInt64 = Sample.received
    ) throws -> SpanBatch {
        var scopeSpans = SampleEncoder()
        var scopeMessage = SampleEncoder()
        scopeMessage.bytes(1, Array(scope.0.utf8))
        scopeMessage.bytes(2, Array(scope.1.utf8))
        scopeSpans.bytes(1, scopeMessage.output)
        for span in spans { scopeSpans.bytes(2, span.encoded) }
        var resourceSpans = SampleEncoder()
        resourceSpans.bytes(1, SampleEncoder.attributes(resource, field: 1))
        resourceSpans.bytes(2, scopeSpans.output)
        resourceSpans.bytes(3, Array("https://opentelemetry.io/schemas/1.26.0".utf8))
        var request = SampleEncoder()
        request.bytes(1, resourceSpans.output)
        return SpanBatch(try request.output.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: received) })
    }

    static func spans(_ numbers: Range<UInt64>, start: UInt64 = SampleSpan.start) -> [SampleSpan] {
        numbers.map { SampleSpan(number: $0, start: start + $0, end: start + $0 + 1_000_000) }
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

    /// The first column of the first row.
    func value(_ sql: String) throws -> String? { try rows(sql).first?.first }

    func execute(_ sql: String) throws { try SQLiteConnection(path: path).execute(sql) }
}
