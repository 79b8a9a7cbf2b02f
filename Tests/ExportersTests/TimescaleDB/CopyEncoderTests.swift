import Crypto
import OTLPWire
import Pipeline
import Testing

@testable import Exporters

@Suite struct CopyEncoderTests {
    private func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test func oneSpanHasTheseBytes() throws {
        let span = ModelSpan(
            traceID: Array(0x10...0x1F), spanID: Array(0xA0...0xA7), parentSpanID: Array(0xB0...0xB7), name: Array("op".utf8), kind: 2,
            start: Model.noon, end: Model.noon + 2_500_000, attributes: [ModelAttribute("a", .int(1))], statusCode: 0, flags: 0x101)
        let resource = [ModelAttribute("service.name", .text("s")), ModelAttribute("project.id", .text("p"))]
        let batch = try Model.batch(Model.request([span], resource: resource, scope: "sc", scopeVersion: ""))
        let golden = [
            "5047434f50590aff0d0a00", "00000000", "00000000",  // signature, flags, extension
            "002c",  // 44 fields
            "0000000170", "0000000173", "00000008", resourceID(resource),  // project_id, service_name, resource_id
            "000000027363", "ffffffff",  // scope_name, scope_version
            "00000008", "0002ea5119d41000",  // ts
            "00000010101112131415161718191a1b1c1d1e1f", "00000008a0a1a2a3a4a5a6a7", "00000008b0b1b2b3b4b5b6b7",  // ids
            "000000026f70", "00000006534552564552", "00000005554e534554", "ffffffff",  // name, kind, status_code, status_message
            "00000008", "4004000000000000", "00000008", "3ff0000000000000",  // duration_ms, adjusted_count
            "ffffffff", "ffffffff", "0000000400000101",  // sampling_reason, trace_state, flags
            "00000008", "1886999c36a18000",  // start_unix_nano
            "00000008", "00000000002625a0",  // duration_nano
            "00000008", "01" + hex(Array(#"{"a":1}"#.utf8)), "0000000400000000",  // attributes, dropped
            "ffffffff", "0000000400000000", "ffffffff", "0000000400000000",  // events, links, dropped
            String(repeating: "ffffffff", count: 18),  // LLM columns
            "ffff",
        ].joined()
        #expect(hex(CopyFile.encode(batch).bytes) == golden)
    }

    private func resourceID(_ attributes: [ModelAttribute]) -> String {
        let canonical = [1] + Array(repeating: UInt8(0), count: 8) + Array(#""project.id""p""service.name""s""#.utf8)
        return hex(canonical.withUnsafeBytes { SHA256.digest($0) }.prefix(8))
    }

    @Test func llmColumnsAreWrittenWhenThereAreAny() throws {
        var row: CopyRow?
        let texts = [
            "openai", String(repeating: "m", count: 300), "chat", String(repeating: "u", count: 3_000), "s", "stop", "in\0", "out",
        ]
        .map { Array($0.utf8) }
        let batch = try Model.batch([ModelSpan()])
        var encoder = CopyEncoder(window: CopyFile.window)
        _ = encoder.begin(batch)
        texts[0].withUnsafeBytes { provider in
            texts[1].withUnsafeBytes { model in
                texts[3].withUnsafeBytes { user in
                    texts[6].withUnsafeBytes { input in
                        let columns = GenAIColumns(
                            provider: provider, model: model, userID: user, promptTokens: 5, totalTokens: -1, totalCostUSD: 0.25,
                            timeToFirstTokenMilliseconds: 12.5, input: input)
                        batch.forEach { encoder.append($0, genAI: columns) }
                    }
                }
            }
        }
        encoder.finish()
        row = CopyRow(fields: try CopyFile(encoder.output.withBytes { Array($0) }).rows[0])
        #expect(try row?.text("provider") == "openai")
        #expect(try row?.bytes("model")?.count == 256)
        #expect(try row?.bytes("user_id")?.count == 2_600)
        #expect(try row?.text("operation") == nil)
        #expect(try row?.integer("prompt_tokens") == 5)
        #expect(try row?.integer("total_tokens") == -1)
        #expect(try row?.double("total_cost_usd") == 0.25)
        #expect(try row?.double("ttft_ms") == 12.5)
        #expect(try row?.text("input") == "in\u{FFFD}")
        #expect(try row?.text("output") == nil)
    }

    @Test func resourceAndScopeColumnsFollowTheSpans() throws {
        func request(_ service: String, _ scope: String, _ first: Int) -> [UInt8] {
            Model.request(Model.spans(2, first: first), resource: [ModelAttribute("service.name", .text(service))], scope: scope)
        }
        // Requests of one message each, put one behind the other, are one request of several resources.
        var batch = try Model.batch(request("a", "x", 0) + request("b", "y", 2) + request("a", "z", 4))
        batch.append(try Model.batch(request("c", "x", 6)))
        let rows = try CopyFile(CopyFile.encode(batch).bytes).rows.map(CopyRow.init)
        #expect(try rows.map { try $0.text("service_name") } == ["a", "a", "b", "b", "a", "a", "c", "c"])
        #expect(try rows.map { try $0.text("scope_name") } == ["x", "x", "y", "y", "z", "z", "x", "x"])
        #expect(try Set(rows.map { try $0.integer("resource_id") }).count == 3)
    }

    @Test func notesTellWhatWasNoticed() throws {
        var spans = Model.spans(3)
        spans[1].start = 0
        let (_, notes) = CopyFile.encode(try Model.batch(spans))
        #expect(notes.rows == 3 && notes.replacedTimestamps == 1 && notes.oversizeColumns == 0)
        #expect(notes.earliest == Int64(Model.noon / 1_000))
        #expect(notes.latest == Int64(Model.noon / 1_000) + 5_000_000)
    }

    @Test func anEncoderMayBeUsedAgain() throws {
        var encoder = CopyEncoder(window: CopyFile.window)
        var files: [[UInt8]] = []
        for _ in 0..<2 {
            for service in ["a", "b"] {
                let batch = try Model.batch(Model.request([ModelSpan()], resource: [ModelAttribute("service.name", .text(service))]))
                #expect(encoder.begin(batch).count == 1)
                batch.forEach { encoder.append($0) }
                encoder.finish()
                files.append(encoder.output.withBytes { Array($0) })
            }
        }
        #expect(files[0] == files[2] && files[1] == files[3] && files[0] != files[1])
    }

    @Test func randomBytesThatDecodeNeverTrap() throws {
        var random = RandomSpans(seed: 99)
        var decoded = 0
        for _ in 0..<400 {
            var bytes = Model.request([random.span(), random.span()])
            for _ in 0..<(1 + random.below(8)) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
            guard let batch = try? Model.batch(bytes) else { continue }
            decoded += 1
            #expect(throws: Never.self) { try CopyFile(CopyFile.encode(batch).bytes) }
        }
        #expect(decoded > 20)
    }
}
