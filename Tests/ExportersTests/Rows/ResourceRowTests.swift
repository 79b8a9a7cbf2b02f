import OTLPWire
import Pipeline
import Testing

@testable import Exporters

@Suite struct ResourceRowTests {
    private func row(_ attributes: [ModelAttribute], schemaURL: String = "") throws -> ResourceRow {
        var json = AttributeJSON()
        var rows: [ResourceRow] = []
        try Model.batch(Model.request([ModelSpan()], resource: attributes, schemaURL: schemaURL)).forEach {
            rows.append(ResourceRow($0.span.resource, json: &json))
        }
        return try #require(rows.first)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func theOrderOfAttributesDoesNotMatter() throws {
        let one = try row([ModelAttribute("a", .int(1)), ModelAttribute("b", .kvlist([ModelAttribute("c", .absent)]))])
        let other = try row([ModelAttribute("b", .kvlist([ModelAttribute("c", .absent)])), ModelAttribute("a", .int(1))])
        #expect(one.id == other.id)
    }

    @Test func everyDifferenceMakesAnotherResource() throws {
        let variants: [(attributes: [ModelAttribute], schemaURL: String)] = [
            ([], ""), ([], "https://x"), ([ModelAttribute("a", .int(1))], ""), ([ModelAttribute("a", .int(1))], "https://x"),
            ([ModelAttribute("a", .double(1))], ""), ([ModelAttribute("a", .text("1"))], ""), ([ModelAttribute("a", .absent)], ""),
            ([ModelAttribute("a1", .absent)], ""), ([ModelAttribute("a", .int(1)), ModelAttribute("a", .int(2))], ""),
            ([ModelAttribute("a", .int(2)), ModelAttribute("a", .int(1))], ""), ([ModelAttribute("b", .int(1))], ""),
        ]
        #expect(Set(try variants.map { try row($0.attributes, schemaURL: $0.schemaURL).id }).count == variants.count)
    }

    @Test func theIdIsTheDocumentedHash() throws {
        // printf '\1\0\0\0\0\0\0\0\1u"a"1"b""x"' | sha256sum
        let row = try row([ModelAttribute("b", .text("x")), ModelAttribute("a", .int(1))], schemaURL: "u")
        #expect(UInt64(bitPattern: row.id) == 0xf4a3_9ec4_dcb9_9790)
    }

    @Test func theProjectIsTheFirstOfItsAttributesThatIsThere() throws {
        let id = ModelAttribute("project.id", .text("p"))
        let inference = ModelAttribute("openinference.project.name", .text("o"))
        let namespace = ModelAttribute("service.namespace", .text("n"))
        #expect(text(try row([namespace, inference, id]).projectID) == "p")
        #expect(text(try row([namespace, inference]).projectID) == "o")
        #expect(text(try row([namespace, ModelAttribute("project.id", .text(""))]).projectID) == "n")
        #expect(text(try row([ModelAttribute("project.id", .int(7))]).projectID) == "default")
        #expect(text(try row([]).projectID) == "default")
    }

    @Test func serviceAndProjectAreCutWhereAnIndexNeedsIt() throws {
        let long = String(repeating: "é", count: 3_000)
        let row = try row([ModelAttribute("project.id", .text("x" + long)), ModelAttribute("service.name", .text("x" + long))])
        #expect(row.projectID.count == 255)
        #expect(row.serviceName.count == 2_599)
        #expect(String(validating: row.projectID, as: UTF8.self) != nil)
    }

    @Test func aResourceWithoutANameIsUnknownService() throws {
        #expect(text(try row([]).serviceName) == "unknown_service")
        #expect(text(try row([ModelAttribute("service.name", .text(""))]).serviceName) == "unknown_service")
        #expect(text(try row([ModelAttribute("service.name", .text("shop"))]).serviceName) == "shop")
    }

    @Test func theCacheReturnsTheSameRowForTheSameBytesOnly() throws {
        var cache = ResourceCache()
        var json = AttributeJSON()
        func cached(_ attributes: [ModelAttribute], _ schemaURL: String = "") throws -> ResourceRow {
            var rows: [ResourceRow] = []
            try Model.batch(Model.request([ModelSpan()], resource: attributes, schemaURL: schemaURL)).forEach {
                rows.append(cache.row(of: $0.span.resource, json: &json))
            }
            return try #require(rows.first)
        }
        let first = try cached([ModelAttribute("a", .int(1))])
        #expect(try cached([ModelAttribute("a", .int(1))]) === first)
        #expect(try cached([ModelAttribute("a", .int(1))], "u") !== first)
        #expect(try cached([ModelAttribute("a", .int(2))]) !== first)
        // Past its bound it starts over, and stays right.
        for index in 0..<(ResourceCache.entriesMax + 10) { _ = try cached([ModelAttribute("n", .int(Int64(index)))]) }
        #expect(try cached([ModelAttribute("a", .int(1))]).id == first.id)
    }
}
