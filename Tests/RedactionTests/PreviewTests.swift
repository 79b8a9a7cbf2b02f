import OTLPWire
import Pipeline
import Testing

@testable import Redaction

private func finding(_ path: String, _ text: String, _ place: Range<Int>, _ after: String) -> RedactionFinding {
    let observer = RedactionObserver()
    observer.beginSpan()
    observer.begin("span.attributes")
    Array(text.utf8).withUnsafeBytes { text in
        Array(path.utf8).withUnsafeBytes { name in
            Array(after.utf8).withUnsafeBytes {
                observer.note(name: name, kind: "email", strategy: .replace, place: place, in: text, after: $0)
            }
        }
    }
    return observer.findings[0]
}

@Suite struct PreviewTests {
    @Test func aFindingSaysWhereInALongerTextItStood() {
        let inside = finding("to", "mail a@b.co", 5..<11, "<EMAIL>")
        #expect(inside.path == "span.attributes.to" && inside.offset == 5 && inside.before == "a@b.co" && inside.after == "<EMAIL>")
        #expect(finding("to", "a@b.co", 0..<6, "<EMAIL>").offset == nil)
    }

    @Test func previewAndRedactorRewriteTheSame() throws {
        var config = PIIRedactionConfig()
        config.hashKey = Rewriting.key
        config.places = Set(PIIRedactionConfig.Place.allCases)
        func batch() throws -> TraceBatch {
            var output = OutputBuffer()
            output.appendMessage(1) { resourceSpans in
                resourceSpans.appendMessage(2) { scopeSpans in
                    scopeSpans.appendMessage(2) { span in
                        [UInt8](repeating: 1, count: 16).withUnsafeBytes { span.appendBytesField(1, $0) }
                        [UInt8](repeating: 1, count: 8).withUnsafeBytes { span.appendBytesField(2, $0) }
                        Array("to".utf8).withUnsafeBytes { span.appendAttribute(9, key: $0, strings: ["x", "a@b.co", "10.1.2.3"]) }
                    }
                }
            }
            return try output.withBytes { try TraceBatch.decode($0, receivedUnixNano: 1) }
        }
        let (shown, redacted) = (try batch(), try batch())
        let findings = try RedactionPreview(config).redact(shown)
        try SpanRedactor(config, config.redactor(), nil).edit(SpanSlice(redacted), for: config.redactor())
        #expect(Array(shown[0].encodedAttributes) == Array(redacted[0].encodedAttributes))
        #expect(findings.map(\.path) == ["span.attributes.to[1]", "span.attributes.to[2]"])
        #expect(findings.map(\.kind) == ["email", "ip_address"])
        #expect(findings.allSatisfy { $0.subject == .span(0) && $0.strategy == .hash && $0.after.hasPrefix("sha256:") })
    }
}
