import Testing

@testable import OTLPWire

@Suite struct OTLPJSONWriterTests {
    /// What comes out of the way through JSON and back.
    private func roundTrip(_ batch: TraceBatch) throws -> TraceBatch {
        try decode(try transcode(json(batch)))
    }

    @Test(arguments: ["full", "llm"])
    func theSamplesComeBackAsTheyWere(name: String) throws {
        let batch = try decode(try Fixture.bytes(name + ".pb"))
        #expect(BatchText(try roundTrip(batch)).lines == BatchText(batch).lines)
    }

    @Test(arguments: 0..<40)
    func whateverAnExportRequestHoldsComesBackAsItWas(seed: UInt64) throws {
        var generator = RandomRequest(seed: seed)
        var spans = 0
        defer { #expect(spans > 0) }
        for _ in 0..<10 {
            let batch = try decode(generator.request())
            spans += batch.spanCount
            let back = try roundTrip(batch)
            #expect(BatchText(back).lines == BatchText(batch).lines)
            #expect(json(back) == json(batch))
        }
    }

    @Test func entitiesComeBack() throws {
        let batch = try decode(try Fixture.bytes("full.pb"))
        let back = try roundTrip(batch)
        let entities = #""entityRefs":[{"schemaUrl":"https://example.org/e","type":"service","idKeys":["service.name","x"],"#
            + #""descriptionKeys":["host.cpus"]}]"#
        #expect(String(decoding: json(back), as: UTF8.self).contains(entities))
    }

    @Test func spansOfOneScopeAndOneResourceShareTheirEntry() throws {
        let spans = (0..<2).flatMap { Wire.bytes(2, Wire.ids + Wire.text(5, "s\($0)")) }
        let scopes = Wire.bytes(2, spans) + Wire.bytes(2, spans)
        let text = String(decoding: json(try decode(Wire.bytes(1, scopes) + Wire.bytes(1, Wire.bytes(2, spans)))), as: UTF8.self)
        #expect(text.split(separator: #""resource":"#).count - 1 == 2)
        #expect(text.split(separator: #""scope":"#).count - 1 == 3)
        #expect(text.split(separator: #""spanId":"#).count - 1 == 6)
    }

    @Test func noSpansAreAnEmptyRequest() {
        let empty = written { output in
            var writer = OTLPJSONWriter()
            writer.finish(&output)
        }
        #expect(String(decoding: empty, as: UTF8.self) == #"{"resourceSpans":[]}"#)
    }

    @Test func invalidTextIsRepaired() throws {
        let batch = try decode(Wire.request(spanFields: Wire.bytes(5, [0x61, 0xFF, 0, 0x62])))
        #expect(String(decoding: json(batch), as: UTF8.self).contains("\"name\":\"a\u{FFFD}\\u0000b\""))
    }
}

@Suite struct HostileJSONTests {
    private func survives(_ json: [UInt8], _ transcoder: JSONTranscoder) -> Bool {
        guard let protobuf = try? transcode(json, with: transcoder) else { return false }
        // Whatever the transcoder writes is well-formed: at most too many attributes or bad ids, which are no errors.
        do {
            return BatchText(try decode(protobuf)).lines.count > 0
        } catch {
            Issue.record("the transcoder wrote what the decoder refuses: \(error)")
            return false
        }
    }

    @Test(arguments: [31, 32, 33])
    func mutatedDocumentsNeverTrap(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let transcoder = JSONTranscoder()
        let original = try Fixture.bytes("full.json").filter { $0 != UInt8(ascii: "\n") }
        let tokens = ["{", "}", "[", "]", "\"", ",", ":", "null", "-0", "1e9", "\\", "\\ud800", "\u{0}", "99999999999999999999", "[]", "{}"]
            .map { Array($0.utf8) } + [[0xFF], [0xE2, 0x82]]
        var accepted = 0
        for _ in 0..<700 {
            var json = original
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let position = Int.random(in: 0..<json.count, using: &random)
                let token = tokens[Int.random(in: 0..<tokens.count, using: &random)]
                switch Int.random(in: 0..<4, using: &random) {
                case 0: json[position] = UInt8.random(in: 0...255, using: &random)
                case 1: json.remove(at: position)
                case 2: json.insert(contentsOf: token, at: position)
                default: json.replaceSubrange(position..<min(position + token.count, json.count), with: token)
                }
            }
            if survives(json, transcoder) { accepted += 1 }
        }
        #expect(accepted > 50)
    }

    @Test func aDocumentCutAnywhereIsRefused() throws {
        let transcoder = JSONTranscoder()
        let json = try Fixture.bytes("full.json").filter { $0 != UInt8(ascii: "\n") }
        for count in 0..<json.count {
            #expect(throws: JSONError.self) { try transcode(Array(json[..<count]), with: transcoder) }
        }
    }

    @Test func repairingAWholeTextChangesNothing() throws {
        for name in ["full.json", "llm.json"] {
            let json = try Fixture.bytes(name)
            var repaired = OutputBuffer()
            let changed = json.withUnsafeBytes { JSONRepair.repair($0, into: &repaired) }
            #expect(!changed)
            #expect(repaired.withBytes { Array($0) } == json)
        }
    }
}
