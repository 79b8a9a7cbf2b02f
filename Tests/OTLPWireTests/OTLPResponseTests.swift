import Testing

@testable import OTLPWire

/// Expected bytes and texts are those of the official protobuf library for the same messages.
@Suite struct OTLPResponseTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    @Test func successLeavesPartialSuccessUnset() {
        #expect(OTLPResponse.exportTraces(rejectedSpans: 0, message: "", .protobuf) == [])
        #expect(text(OTLPResponse.exportTraces(rejectedSpans: 0, message: "", .json)) == "{}")
    }

    @Test func partialSuccessTellsHowManyAndWhy() {
        #expect(hex(OTLPResponse.exportTraces(rejectedSpans: 300, message: "bad ids", .protobuf)) == "0a0c08ac02120762616420696473")
        #expect(
            text(OTLPResponse.exportTraces(rejectedSpans: 300, message: "bad ids", .json))
                == #"{"partialSuccess":{"rejectedSpans":"300","errorMessage":"bad ids"}}"#)
        #expect(text(OTLPResponse.exportTraces(rejectedSpans: 1, message: "", .json)) == #"{"partialSuccess":{"rejectedSpans":"1"}}"#)
    }

    @Test func aWarningHasAMessageAlone() {
        #expect(hex(OTLPResponse.exportTraces(rejectedSpans: 0, message: "careful", .protobuf)) == "0a0912076361726566756c")
        #expect(
            text(OTLPResponse.exportTraces(rejectedSpans: 0, message: "careful", .json))
                == #"{"partialSuccess":{"errorMessage":"careful"}}"#)
    }

    private static let violations = [
        OTLPResponse.FieldViolation(field: "resourceSpans[0]", description: "must be an object"),
        OTLPResponse.FieldViolation(field: "", description: "other"),
    ]
    private static let status = "0803120d62726f6b656e2022782220c3a9"
    private static let badRequest =
        "1a5d0a29747970652e676f6f676c65617069732e636f6d2f676f6f676c652e7270632e4261645265717565737412300a250a107265736f75726365"
        + "5370616e735b305d12116d75737420626520616e206f626a6563740a0712056f74686572"
    private static let retryInfo =
        "1a360a28747970652e676f6f676c65617069732e636f6d2f676f6f676c652e7270632e5265747279496e666f120a0a0808011080cab5ee01"

    @Test(arguments: [
        (OTLPResponse.Details(), status),
        (OTLPResponse.Details(fieldViolations: violations), status + badRequest),
        (OTLPResponse.Details(retryDelay: .milliseconds(1_500)), status + retryInfo),
        (OTLPResponse.Details(fieldViolations: violations, retryDelay: .milliseconds(1_500)), status + badRequest + retryInfo),
    ])
    func protobufStatusIsGoogleRPCStatus(details: OTLPResponse.Details, expected: String) {
        #expect(hex(OTLPResponse.status(code: 3, message: "broken \"x\" é", details: details, .protobuf)) == expected)
    }

    private static let jsonStatus = #"{"code":3,"message":"broken \"x\" é""#
    private static let jsonBadRequest = #"{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":["#
        + #"{"field":"resourceSpans[0]","description":"must be an object"},{"description":"other"}]}"#
    private static let jsonRetryInfo = #"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"}"#

    @Test(arguments: [
        (OTLPResponse.Details(), jsonStatus + "}"),
        (OTLPResponse.Details(fieldViolations: violations), jsonStatus + #","details":["# + jsonBadRequest + "]}"),
        (OTLPResponse.Details(retryDelay: .milliseconds(1_500)), jsonStatus + #","details":["# + jsonRetryInfo + "]}"),
        (
            OTLPResponse.Details(fieldViolations: violations, retryDelay: .milliseconds(1_500)),
            jsonStatus + #","details":["# + jsonBadRequest + "," + jsonRetryInfo + "]}"
        ),
    ])
    func jsonStatusIsGoogleRPCStatus(details: OTLPResponse.Details, expected: String) {
        #expect(text(OTLPResponse.status(code: 3, message: "broken \"x\" é", details: details, .json)) == expected)
    }

    @Test(arguments: [
        (Duration.seconds(0), "0s"), (.seconds(30), "30s"), (.microseconds(1_000_250), "1.000250s"), (.nanoseconds(5), "0.000000005s"),
        (.seconds(-3), "0s"),
    ])
    func retryDelaysAreProtobufDurations(delay: Duration, expected: String) {
        let json = text(OTLPResponse.status(code: 14, message: "", details: OTLPResponse.Details(retryDelay: delay), .json))
        #expect(json.contains(#""retryDelay":"\#(expected)""#))
    }

    @Test func longMessagesAreCutInWholeCharacters() throws {
        let long = String(repeating: "é", count: 5_000)
        let bytes = OTLPResponse.exportTraces(rejectedSpans: 1, message: long, .json)
        #expect(bytes.count < OTLPResponse.messageBytesMax + 100)
        #expect(String(validating: bytes, as: UTF8.self)?.contains("éé") == true)
        let details = OTLPResponse.Details(
            fieldViolations: (0..<100).map { OTLPResponse.FieldViolation(field: long, description: "\($0)") })
        #expect(details.fieldViolations.count == OTLPResponse.violationsMax)
        let status = OTLPResponse.status(code: 3, message: long, details: details, .protobuf)
        #expect(status.count < (OTLPResponse.violationsMax + 2) * (OTLPResponse.messageBytesMax + 100))
    }

    @Test func binaryHeadersHaveNoPadding() {
        #expect(OTLPResponse.base64([]) == "")
        #expect(OTLPResponse.base64([1]) == "AQ")
        #expect(OTLPResponse.base64([0xFB, 0xFF]) == "+/8")
        #expect(OTLPResponse.base64([1, 2, 3]) == "AQID")
    }
}
