import Testing

@testable import OTLPWire

@Suite struct JSONErrorTests {
    @Test(arguments: [
        ("", "", .notJSON), ("   ", "", .notJSON), ("{", "", .notJSON), ("[1", "", .notJSON), ("{}x", "", .notJSON), ("nul", "", .notJSON),
        (#"{"a":01}"#, "", .notJSON), (#"{"a":"\x"}"#, "", .notJSON), (#"{"a":1e999}"#, "", .notJSON),
        ("[]", "", .expectedObject), ("null", "", .expectedObject), ("3", "", .expectedObject),
        (#"{"resourceSpans":{}}"#, "resourceSpans", .expectedArray),
        (#"{"resourceSpans":[{},5]}"#, "resourceSpans[1]", .expectedObject),
        (#"{"resourceSpans":[null]}"#, "resourceSpans[0]", .expectedObject),
        (#"{"resourceSpans":[{"schemaUrl":5}]}"#, "resourceSpans[0].schemaUrl", .expectedString),
        (#"{"resource_spans":[{"resource":[]}]}"#, "resourceSpans[0].resource", .expectedObject),
        (
            #"{"resourceSpans":[{"resource":{"entityRefs":[{"idKeys":["a",{}]}]}}]}"#, "resourceSpans[0].resource.entityRefs[0].idKeys[1]",
            .expectedString
        ),
    ] as [(String, String, JSONError.Problem)])
    func whatIsWrongWithTheDocumentIsNamed(json: String, path: String, problem: JSONError.Problem) {
        let error = jsonError(json)
        #expect(error?.path == path)
        #expect(error?.problem == problem)
    }

    @Test(arguments: [
        (#""traceId":"0g""#, "traceId", .expectedHex), (#""spanId":"123""#, "spanId", .expectedHex),
        (#""spanId":5"#, "spanId", .expectedString),
        (#""traceId":"3q2+7w==""#, "traceId", .expectedHex), (#""name":true"#, "name", .expectedString),
        (#""kind":"SPAN_KIND_SERVER""#, "kind", .expectedEnumNumber), (#""kind":"2""#, "kind", .expectedEnumNumber),
        (#""kind":2.5"#, "kind", .outOfRange), (#""kind":3000000000"#, "kind", .outOfRange), (#""kind":true"#, "kind", .expectedInteger),
        (#""status":{"code":"STATUS_CODE_OK"}"#, "status.code", .expectedEnumNumber),
        (#""startTimeUnixNano":-1"#, "startTimeUnixNano", .outOfRange),
        (#""startTimeUnixNano":"-1""#, "startTimeUnixNano", .outOfRange),
        (#""startTimeUnixNano":"""#, "startTimeUnixNano", .expectedInteger),
        (#""endTimeUnixNano":"1x""#, "endTimeUnixNano", .expectedInteger),
        (#""endTimeUnixNano":"18446744073709551616""#, "endTimeUnixNano", .expectedInteger),
        (#""endTimeUnixNano":1.5"#, "endTimeUnixNano", .outOfRange),
        (#""flags":4294967296"#, "flags", .outOfRange), (#""flags":-1"#, "flags", .outOfRange), (#""flags":{}"#, "flags", .expectedInteger),
        (#""attributes":{}"#, "attributes", .expectedArray), (#""attributes":[[]]"#, "attributes[0]", .expectedObject),
        (#""attributes":[{},{"value":7}]"#, "attributes[1].value", .expectedObject),
        (#""attributes":[{"key":7}]"#, "attributes[0].key", .expectedString),
        (#""links":[{},{},{"spanId":"zz"}]"#, "links[2].spanId", .expectedHex),
        (#""events":[{"timeUnixNano":[]}]"#, "events[0].timeUnixNano", .expectedInteger),
    ] as [(String, String, JSONError.Problem)])
    func aWrongMemberOfASpanIsNamed(members: String, path: String, problem: JSONError.Problem) {
        let error = jsonError(#"{"resourceSpans":[{"scopeSpans":[{},{"spans":[{\#(members)}]}]}]}"#)
        #expect(error?.path == "resourceSpans[0].scopeSpans[1].spans[0]." + path)
        #expect(error?.problem == problem)
    }

    @Test(arguments: [
        (#"{"stringValue":1}"#, "stringValue", .expectedString), (#"{"boolValue":"true"}"#, "boolValue", .expectedBoolean),
        (#"{"boolValue":1}"#, "boolValue", .expectedBoolean), (#"{"intValue":"9223372036854775808"}"#, "intValue", .outOfRange),
        (#"{"intValue":9223372036854775808}"#, "intValue", .outOfRange), (#"{"intValue":"-9223372036854775809"}"#, "intValue", .outOfRange),
        (#"{"intValue":0.5}"#, "intValue", .outOfRange), (#"{"intValue":1e300}"#, "intValue", .outOfRange),
        (#"{"intValue":123456789012345678901234}"#, "intValue", .outOfRange), (#"{"intValue":"-"}"#, "intValue", .expectedInteger),
        (#"{"doubleValue":"nan"}"#, "doubleValue", .expectedNumber), (#"{"doubleValue":"0x10"}"#, "doubleValue", .expectedNumber),
        (#"{"doubleValue":"1e999"}"#, "doubleValue", .expectedNumber), (#"{"doubleValue":true}"#, "doubleValue", .expectedNumber),
        (#"{"bytesValue":"A"}"#, "bytesValue", .expectedBase64), (#"{"bytesValue":"AQ=A"}"#, "bytesValue", .expectedBase64),
        (#"{"bytesValue":"===="}"#, "bytesValue", .expectedBase64), (#"{"bytesValue":"A Q="}"#, "bytesValue", .expectedBase64),
        (#"{"arrayValue":[]}"#, "arrayValue", .expectedObject), (#"{"arrayValue":{"values":{}}}"#, "arrayValue.values", .expectedArray),
        (#"{"arrayValue":{"values":[{},{"intValue":[]}]}}"#, "arrayValue.values[1].intValue", .expectedInteger),
        (#"{"kvlistValue":{"values":[null]}}"#, "kvlistValue.values[0]", .expectedObject),
    ] as [(String, String, JSONError.Problem)])
    func aWrongValueIsNamed(value: String, path: String, problem: JSONError.Problem) {
        let error = jsonError(#"{"resourceSpans":[{"resource":{"attributes":[{"key":"secret-key","value":\#(value)}]}}]}"#)
        #expect(error?.path == "resourceSpans[0].resource.attributes[0].value." + path)
        #expect(error?.problem == problem)
        #expect(error?.message.contains("secret") == false)
    }

    @Test func whatTheClientWroteIsNotInTheMessage() throws {
        let error = try #require(jsonError(#"{"secret":1,"resourceSpans":[{"secret":2,"schemaUrl":{"secret":"secret"}}]}"#))
        #expect(error.message == "resourceSpans[0].schemaUrl must be a string")
    }

    @Test func nothingIsAppendedOnAnError() throws {
        let transcoder = JSONTranscoder()
        var output = OutputBuffer()
        output.append("kept")
        for json in [#"{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"x"}},5]}]}"#, "{", #"{"a":"\ud800"#] {
            #expect(throws: JSONError.self) { try Array(json.utf8).withUnsafeBytes { try transcoder.transcodeTraces($0, into: &output) } }
            #expect(output.withBytes { Array($0) } == Array("kept".utf8))
        }
    }
}
