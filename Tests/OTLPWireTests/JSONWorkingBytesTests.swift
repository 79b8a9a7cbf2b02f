import Testing
@testable import OTLPWire

@Suite struct JSONWorkingBytesTests {
    private func working(_ text: String, times: Int) -> (perByte: Double, bytes: Int) {
        let document = Array(String(repeating: text, count: times).utf8)
        let bytes = document.withUnsafeBytes { JSONTranscoder.workingBytes(for: $0) }
        return (Double(bytes) / Double(document.count), bytes)
    }

    @Test func `a large document of long texts is reckoned at a few times its size`() {
        let attribute = #"{"key":"gen_ai.input.messages","value":{"stringValue":"\#(String(repeating: "why ", count: 100))"}},"#
        #expect(working(attribute, times: 5000).perByte < 6)
    }

    @Test(arguments: ["[],", "{},", "0,", ",", #""":0,"#])
    func `a large document of nothing but structure is reckoned at its worst`(text: String) {
        #expect(working(text, times: 1_000_000).perByte > 12)
    }

    @Test func `a small document is reckoned at its worst without being looked at`() {
        #expect(working("aaaa", times: 10).bytes == 40 * (JSONTranscoder.workingBytesPerDocumentByte + 1))
    }
}
