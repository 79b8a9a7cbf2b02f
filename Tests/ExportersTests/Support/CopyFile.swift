@testable import Exporters
import Pipeline

/// Reads binary COPY data back, by the format's documentation.
struct CopyFile {
    struct Malformed: Error {}
    typealias Row = [String: [UInt8]?]

    let rows: [Row]

    init(_ bytes: [UInt8], columns: [String] = CopyEncoder.columns) throws {
        var rest = bytes[...]
        func take(_ count: Int) throws -> [UInt8] {
            guard count >= 0, rest.count >= count else { throw Malformed() }
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        guard try take(11) == Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00], try take(8) == Array(repeating: 0, count: 8) else {
            throw Malformed()
        }
        var rows: [Row] = []
        while true {
            let count = Int16(truncatingIfNeeded: Self.integer(try take(2)))
            if count == -1 { break }
            guard Int(count) == columns.count else { throw Malformed() }
            var row: Row = [:]
            for column in columns {
                let length = Int32(truncatingIfNeeded: Self.integer(try take(4)))
                row[column] = .some(length == -1 ? nil : try take(Int(length)))
            }
            rows.append(row)
        }
        guard rest.isEmpty else { throw Malformed() }
        self.rows = rows
    }

    /// Encodes a batch as the writer does.
    static func encode(_ batch: SpanBatch, window: TimestampWindow = Self.window) -> (bytes: [UInt8], notes: CopyEncoder.Notes) {
        var encoder = CopyEncoder(window: window)
        _ = encoder.begin(batch)
        batch.forEach { encoder.append($0) }
        encoder.finish()
        return (encoder.output.withBytes { Array($0) }, encoder.notes)
    }

    static let window = TimestampWindow(past: .seconds(90 * 86_400), future: .seconds(3_600))

    static func integer(_ bytes: [UInt8]) -> Int64 { bytes.reduce(0) { $0 << 8 | Int64($1) } }
}

/// One row as numbers and texts.
struct CopyRow {
    let fields: CopyFile.Row

    func bytes(_ column: String) throws -> [UInt8]? {
        guard let field = fields[column] else { throw CopyFile.Malformed() }
        return field
    }

    func text(_ column: String) throws -> String? { try bytes(column).map { String(decoding: $0, as: UTF8.self) } }
    func integer(_ column: String) throws -> Int64? { try bytes(column).map(CopyFile.integer) }
    func unsigned(_ column: String) throws -> UInt64 { UInt64(bitPattern: try integer(column) ?? 0) }

    func double(_ column: String) throws -> Double? {
        try bytes(column).map { Double(bitPattern: UInt64(bitPattern: CopyFile.integer($0))) }
    }

    func json(_ column: String) throws -> JSONText? {
        guard let bytes = try bytes(column) else { return nil }
        guard bytes.first == 1 else { throw CopyFile.Malformed() }
        return try JSONText.parse(Array(bytes.dropFirst()))
    }

    /// The span that the row came from.
    func span() throws -> ModelSpan {
        let kinds = ["UNSPECIFIED": 0, "INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5]
        let codes = ["UNSET": 0, "OK": 1, "ERROR": 2]
        func number(_ column: String, _ names: [String: Int]) throws -> Int32 {
            let text = try text(column) ?? ""
            return Int32(names[text] ?? Int(text) ?? -99)
        }
        let start = try unsigned("start_unix_nano")
        return ModelSpan(
            traceID: try bytes("trace_id") ?? [], spanID: try bytes("span_id") ?? [], parentSpanID: try bytes("parent_span_id") ?? [],
            traceState: try bytes("trace_state") ?? [], name: try bytes("name") ?? [], kind: try number("kind", kinds), start: start,
            end: start &+ (try unsigned("duration_nano")), attributes: try Rebuild.attributes(json("attributes") ?? .null),
            droppedAttributes: UInt32(try unsigned("dropped_attributes")), events: try Rebuild.events(json("events")),
            droppedEvents: UInt32(try unsigned("dropped_events")), links: try Rebuild.links(json("links")),
            droppedLinks: UInt32(try unsigned("dropped_links")), statusCode: try number("status_code", codes),
            statusMessage: try bytes("status_message") ?? [], flags: UInt32(try unsigned("flags")))
    }
}
