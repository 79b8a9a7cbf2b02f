import Testing

@testable import OTLPWire

private func encoded(_ batch: TraceBatch) -> [UInt8] {
    written { OTLPProtobufWriter.append(batch, to: &$0) }
}

@Suite struct OTLPProtobufWriterTests {
    @Test(arguments: 0..<60)
    func whateverAnExportRequestHoldsIsWrittenAsItWas(seed: UInt64) throws {
        var generator = RandomRequest(seed: seed)
        var spans = 0
        defer { #expect(spans > 0) }
        for _ in 0..<10 {
            let batch = try decode(generator.request())
            spans += batch.spanCount
            let bytes = encoded(batch)
            let back = try decode(bytes)
            #expect(BatchText(back).lines == BatchText(batch).lines)
            #expect(json(back) == json(batch))
            #expect(encoded(back) == bytes)
        }
    }

    @Test(arguments: ["full", "llm"])
    func theSamplesComeBackAsTheyWere(name: String) throws {
        let batch = try decode(try Fixture.bytes(name + ".pb"))
        let back = try decode(encoded(batch))
        #expect(BatchText(back).lines == BatchText(batch).lines)
        #expect(json(back) == json(batch))
    }

    @Test func changesAreWritten() throws {
        let batch = try decode(
            Wire.request(spanFields: Wire.text(5, "name") + Wire.bytes(9, Wire.attribute("k", value: Wire.text(1, "v")))))
        let run = Wire.bytes(9, Wire.attribute("k", value: Wire.text(1, "other")))
        try run.withUnsafeBytes { run in
            try batch.edit { editor throws(EditError) in
                try editor.setAttributes(of: batch[0], encoded: run, count: 1)
                try editor.setParts(of: batch[0], name: batch[0].name, status: run, event: { batch[0].event(at: $0).encoded })
            }
        }
        #expect(BatchText(try decode(encoded(batch))).lines == BatchText(batch).lines)
        #expect(String(decoding: encoded(batch), as: UTF8.self).contains("other"))
    }

    @Test func whatViewsDoNotShowIsNotWritten() throws {
        let secret = "secret"
        let rejected = Wire.bytes(1, [1, 2, 3]) + Wire.text(5, secret)
        let span = Wire.ids + Wire.text(5, secret) + Wire.text(5, "last") + Wire.text(99, secret)
        let empty = Wire.bytes(1, Wire.bytes(1, Wire.bytes(1, Wire.attribute("k", value: Wire.text(1, secret)))))
        var limits = DecodeLimits()
        limits.attributesPerSpanMax = 1
        let attributes = Wire.bytes(9, Wire.attribute("a", value: [])) + Wire.bytes(9, Wire.attribute(secret, value: []))
        let batch = try decode(Wire.request([span + attributes, rejected]) + empty, limits: limits)
        let bytes = encoded(batch)
        #expect(!String(decoding: bytes, as: UTF8.self).contains(secret))
        let back = try decode(bytes, limits: limits)
        #expect(BatchText(back).lines == BatchText(batch).lines)
        #expect(back[0].droppedAttributesCount == 1)
    }

    @Test func anEmptyBatchIsAnEmptyRequest() throws {
        #expect(encoded(try decode([])) == [])
    }

    @Test func emptyEventsAndLinksAreKept() throws {
        let batch = try decode(Wire.request(spanFields: Wire.bytes(11, []) + Wire.bytes(13, []) + Wire.bytes(11, [])))
        let back = try decode(encoded(batch))
        #expect(back[0].eventCount == 2 && back[0].linkCount == 1)
    }
}
