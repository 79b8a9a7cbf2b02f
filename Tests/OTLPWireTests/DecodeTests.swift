import Testing

@testable import OTLPWire

@Suite struct DecodeTests {
    @Test(arguments: ["full", "llm"])
    func everyFieldReadsAsTheOfficialLibraryReadsIt(name: String) throws {
        let batch = try decode(try Fixture.bytes(name + ".pb"))
        let expected = try Fixture.text(name + ".txt").split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
        #expect(BatchText(batch).lines == expected)
        #expect(batch.rejectedSpanCount == 0)
    }

    @Test func emptyRequestsAndEmptyPartsAreAccepted() throws {
        for bytes in [[], Wire.bytes(1, []), Wire.bytes(1, Wire.bytes(2, [])), Wire.request([])] {
            let batch = try decode(bytes)
            #expect(batch.spanCount == 0)
            #expect(batch.rejectedSpanCount == 0)
        }
    }

    @Test func spansWithoutValidIDsAreCountedAndTheOthersKept() throws {
        let short = Wire.bytes(1, [UInt8](repeating: 1, count: 15)) + Wire.bytes(2, Wire.spanID)
        let zero = Wire.bytes(1, [UInt8](repeating: 0, count: 16)) + Wire.bytes(2, Wire.spanID)
        let long = Wire.bytes(1, Wire.traceID) + Wire.bytes(2, [UInt8](repeating: 1, count: 9))
        let zeroSpan = Wire.bytes(1, Wire.traceID) + Wire.bytes(2, [UInt8](repeating: 0, count: 8))
        let batch = try decode(Wire.request([short, Wire.ids + Wire.text(5, "kept"), zero, long, zeroSpan, []]))
        #expect(batch.rejectedSpanCount == 5)
        #expect(batch.spanCount == 1)
        #expect(batch[0].name.matches("kept"))
    }

    @Test func ofARepeatedSingularFieldTheLastCounts() throws {
        let fields = Wire.text(5, "first") + Wire.number(6, 1) + Wire.text(5, "last") + Wire.number(6, 3)
            + Wire.bytes(15, Wire.number(3, 1)) + Wire.bytes(15, Wire.number(3, 2))
        let span = try decode(Wire.request(spanFields: fields))
        #expect(span[0].name.matches("last"))
        #expect(span[0].kind == 3)
        #expect(span[0].status.code == 2)
    }

    @Test func unknownFieldsAreIgnoredAtEveryLevel() throws {
        let unknown = Wire.number(1_000, 7) + Wire.fixed64(1_001, 7) + Wire.bytes(1_002, [1, 2, 3]) + Wire.fixed32(1_003, 7)
        let attribute = unknown + Wire.attribute("k", value: unknown + Wire.text(1, "v") + unknown) + unknown
        let span = unknown + Wire.ids + Wire.bytes(9, attribute) + Wire.bytes(11, unknown + Wire.text(2, "e")) + unknown
        let scope = Wire.bytes(1, unknown + Wire.text(1, "s")) + unknown + Wire.bytes(2, span)
        let batch = try decode(unknown + Wire.bytes(1, unknown + Wire.bytes(1, unknown) + Wire.bytes(2, scope)) + unknown)
        #expect(batch.spanCount == 1)
        #expect(batch[0].attributes.firstString("k")?.matches("v") == true)
        #expect(batch[0].event(at: 0).name.matches("e"))
        #expect(batch[0].scope.name.matches("s"))
    }

    @Test func attributesOverTheLimitAreDroppedAndCounted() throws {
        var limits = DecodeLimits()
        limits.attributesPerSpanMax = 2
        let attributes = (0..<5).flatMap { Wire.bytes(9, Wire.attribute("k\($0)", value: Wire.number(3, UInt64($0)))) }
        let batch = try decode(Wire.request(spanFields: attributes + Wire.number(10, 7)), limits: limits)
        #expect(batch[0].attributeCount == 2)
        #expect(batch[0].attributes.map { String(decoding: $0.key, as: UTF8.self) } == ["k0", "k1"])
        #expect(batch[0].droppedAttributesCount == 10)
        #expect(batch.droppedAttributeCount == 3)
    }

    @Test func droppedCountDoesNotOverflow() throws {
        var limits = DecodeLimits()
        limits.attributesPerSpanMax = 1
        let attributes = (0..<3).flatMap { _ in Wire.bytes(9, Wire.attribute("k", value: [])) }
        let batch = try decode(Wire.request(spanFields: attributes + Wire.number(10, UInt64(UInt32.max) - 1)), limits: limits)
        #expect(batch[0].droppedAttributesCount == .max)
    }

    @Test func attributesAreReadInOrderAlsoWhenOtherFieldsStandBetweenThem() throws {
        var fields: Fields = []
        for index in 0..<4 {
            fields += Wire.bytes(9, Wire.attribute("k\(index)", value: Wire.text(1, "v")))
            fields += Wire.bytes(11, Wire.text(2, "e\(index)")) + Wire.bytes(13, Wire.text(3, "l\(index)")) + Wire.number(6, 1)
        }
        let batch = try decode(Wire.request(spanFields: fields))
        let span = batch[0]
        #expect(span.attributes.map { String(decoding: $0.key, as: UTF8.self) } == ["k0", "k1", "k2", "k3"])
        #expect((0..<4).map { String(decoding: span.event(at: $0).name, as: UTF8.self) } == ["e0", "e1", "e2", "e3"])
        #expect((0..<4).map { String(decoding: span.link(at: $0).traceState, as: UTF8.self) } == ["l0", "l1", "l2", "l3"])
        // Gathered or not, the encoded form is the attributes alone.
        let alone = try decode(Wire.request(spanFields: Array(span.encodedAttributes)))
        #expect(alone[0].attributeCount == 4)
    }

    @Test func aBatchReleasesTheBytesItCharged() throws {
        let account = Account()
        do {
            let bytes = try Fixture.bytes("llm.pb")
            let batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 5, account: account) }
            #expect(batch.receivedUnixNano == 5)
            #expect(account.charged.load(ordering: .relaxed) == batch.byteCount)
        }
        #expect(account.charged.load(ordering: .relaxed) == 0)
    }

    @Test func aRequestOfOneSmallSpanStaysSmall() throws {
        let attributes = (0..<8).flatMap { Wire.bytes(9, Wire.attribute("some.attribute.\($0)", value: Wire.text(1, "a value"))) }
        let bytes = Wire.request(spanFields: attributes)
        let batch = try decode(bytes)
        #expect(batch.byteCount < bytes.count * 3 / 2 + 1_024)
    }
}
