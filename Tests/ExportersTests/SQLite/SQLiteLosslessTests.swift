import Testing
@testable import Exporters

/// The contract's property, for this store: OTLP rebuilt from a row equals the span that came in, after sanitising and key
/// order aside.
@Suite struct SQLiteLosslessTests {
    private static let columns = [
        "trace_id", "span_id", "parent_span_id", "trace_state", "name", "kind", "start_unix_nano", "duration_nano", "attributes",
        "dropped_attributes", "events", "dropped_events", "links", "dropped_links", "status_code", "status_message", "flags",
    ]

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func spansRebuiltFromTheirRowsEqualTheOriginals(seed: UInt64) throws {
        let fixture = try SQLiteFixture()
        var random = RandomSpans(seed: seed)
        let spans = (0..<50).map { _ in random.span() }
        #expect(fixture.store().write(try Model.batch(spans)) == .written)
        let names = Self.columns.joined(separator: ", ")
        let rows = try fixture.texts("select \(names) from traces order by rowid", columns: Self.columns.count)
        #expect(rows.count == spans.count)
        for (row, span) in zip(rows, spans) {
            let texts = Dictionary(uniqueKeysWithValues: zip(Self.columns, row))
            #expect(try Self.span(texts) == span.normalised, "seed \(seed)")
        }
    }

    private static func span(_ row: [String: [UInt8]?]) throws -> ModelSpan {
        func bytes(_ column: String) -> [UInt8] { (row[column] ?? nil) ?? [] }
        func number(_ column: String) throws -> Int64 { try #require(Int64(String(decoding: bytes(column), as: UTF8.self))) }
        func json(_ column: String) throws -> JSONText? { try (row[column] ?? nil).map { try JSONText.parse($0) } }
        func code(_ column: String, _ names: [String]) -> Int32 {
            let text = String(decoding: bytes(column), as: UTF8.self)
            return Int32(names.firstIndex(of: text) ?? Int(text) ?? -99)
        }
        let start = UInt64(bitPattern: try number("start_unix_nano"))
        return ModelSpan(
            traceID: try Rebuild.hex(bytes("trace_id")), spanID: try Rebuild.hex(bytes("span_id")),
            parentSpanID: try Rebuild.hex(bytes("parent_span_id")), traceState: bytes("trace_state"), name: bytes("name"),
            kind: code("kind", ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]), start: start,
            end: start &+ UInt64(bitPattern: try number("duration_nano")),
            attributes: try Rebuild.attributes(json("attributes") ?? .null),
            droppedAttributes: UInt32(try number("dropped_attributes")), events: try Rebuild.events(json("events")),
            droppedEvents: UInt32(try number("dropped_events")), links: try Rebuild.links(json("links")),
            droppedLinks: UInt32(try number("dropped_links")), statusCode: code("status_code", ["UNSET", "OK", "ERROR"]),
            statusMessage: bytes("status_message"), flags: UInt32(try number("flags")))
    }
}
