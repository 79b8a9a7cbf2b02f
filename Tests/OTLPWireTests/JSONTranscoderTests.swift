import Testing

@testable import OTLPWire

@Suite struct JSONTranscoderTests {
    /// A document whose only span has ids and these members.
    private func span(_ members: String) -> String {
        #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","#
            + members + "}]}]}]}"
    }

    private func value(_ value: String) -> String {
        span(#""attributes":[{"key":"k","value":\#(value)}]"#)
    }

    /// How the value reads after the way through protobuf.
    private func read(_ json: String) throws -> String {
        BatchText.value(try #require(try decode(try transcode(value(json)))[0].attributes.first("k")))
    }

    @Test(arguments: ["full", "llm"])
    func theOfficialLibrarysJSONBecomesItsProtobufByteForByte(name: String) throws {
        #expect(try transcode(try Fixture.bytes(name + ".json")) == (try Fixture.bytes(name + ".pb")))
    }

    @Test func emptyDocumentsAreEmptyRequests() throws {
        for json in ["{}", #"{"resourceSpans":[]}"#, #"{"resourceSpans":null}"#, #" {"unknown":[{"deep":[1,2,{}]}]} "#] {
            #expect(try transcode(json) == [])
        }
        #expect(try transcode(#"{"resourceSpans":[{"scopeSpans":[{}],"resource":null}]}"#) == Wire.bytes(1, Wire.bytes(2, [])))
    }

    @Test func idsAreHexadecimalInAnyCase() throws {
        let json = span(#""traceId":"ABCDEFabcdef01234567890123456789","parentSpanId":"fFfFfFfFfFfFfFfF""#)
        let span = try decode(try transcode(json))
        #expect(span[0].traceID == TraceID(high: 0xABCD_EFAB_CDEF_0123, low: 0x4567_8901_2345_6789))
        #expect(span[0].parentSpanID == SpanID(word: .max))
        #expect(jsonError(self.span(#""parentSpanId":"""#)) == nil)
    }

    @Test func bothSpellingsOfAFieldsNameAreRead() throws {
        let json = #"{"resource_spans":[{"scope_spans":[{"spans":[{"trace_id":"0102030405060708090a0b0c0d0e0f10","#
            + #""span_id":"0102030405060708","start_time_unix_nano":"7","dropped_attributes_count":3,"#
            + #""attributes":[{"key":"k","value":{"kvlist_value":{"values":[{"key":"a","value":{"int_value":1}}]}}}]}]}]}]}"#
        let batch = try decode(try transcode(json))
        #expect(batch[0].startTimeUnixNano == 7)
        #expect(batch[0].droppedAttributesCount == 3)
        #expect(batch[0].attributes.first("k").map(BatchText.value) == "kvlist {a=int 1}")
    }

    @Test func unknownFieldsAreIgnoredWhateverTheyHold() throws {
        // Names as long as, and as like, known ones as can be.
        let unknown = #""x":{"a":[1,2.5,null,true,"s"]},"nam":1,"namf":2,"kindness":[],"droppedAxxxxxxxxtesCount":"x","":0"#
        #expect(try transcode(span(unknown)) == (try transcode(span(#""name":"""#))))
    }

    @Test func integersAreNumbersOrStrings() throws {
        #expect(try read(#"{"intValue":"-9223372036854775808"}"#) == "int -9223372036854775808")
        #expect(try read(#"{"intValue":9223372036854775807}"#) == "int 9223372036854775807")
        #expect(try read(#"{"intValue":1e3}"#) == "int 1000")
        #expect(try read(#"{"intValue":5.0}"#) == "int 5")
        let times = try decode(try transcode(span(#""startTimeUnixNano":18446744073709551615,"endTimeUnixNano":"18446744073709551615""#)))
        #expect(times[0].startTimeUnixNano == .max)
        #expect(times[0].endTimeUnixNano == .max)
    }

    @Test func doublesAreNumbersOrNames() throws {
        func bits(_ value: Double) -> String { BatchText.value(.double(value)) }
        #expect(try read(#"{"doubleValue":"NaN"}"#) == bits(.nan))
        #expect(try read(#"{"doubleValue":"Infinity"}"#) == bits(.infinity))
        #expect(try read(#"{"doubleValue":"-Infinity"}"#) == bits(-.infinity))
        #expect(try read(#"{"doubleValue":"2.5e-3"}"#) == bits(0.0025))
        #expect(try read(#"{"doubleValue":7}"#) == bits(7))
        #expect(try read(#"{"doubleValue":-7}"#) == bits(-7))
        #expect(try read(#"{"doubleValue":18446744073709551615}"#) == bits(0x1p64))
        #expect(try read(#"{"doubleValue":0}"#) == bits(0))
        #expect(try read(#"{"doubleValue":-0.0}"#) == bits(-0.0))
        // What the tape alone would not tell: the sign of an integer zero, integers of more than 64 bits.
        #expect(try read(#"{"doubleValue":-0}"#) == bits(-0.0))
        #expect(try read(#"{"doubleValue":-0 }"#) == bits(-0.0))
        #expect(try read(#"{"doubleValue":123456789012345680000}"#) == bits(1.2345678901234568e20))
        #expect(try read(#"{"doubleValue":-9223372036854775809}"#) == bits(-0x1p63))
        // Text that looks like a negative zero changes nothing.
        #expect(try read(#"{"arrayValue":{"values":[{"doubleValue":0},{"stringValue":"-0,"}]}}"#) == "array [\(bits(0)), string -0%2C]")
    }

    @Test func bytesAreBase64OfEitherAlphabetPaddedOrNot() throws {
        for text in ["+/+/AQ==", "-_-_AQ==", "-_-_AQ", "+/-_AQ"] {
            #expect(try read(#"{"bytesValue":"\#(text)"}"#) == "bytes fbffbf01")
        }
        #expect(try read(#"{"bytesValue":""}"#) == "bytes ")
        #expect(try read(#"{"bytesValue":"AQI"}"#) == "bytes 0102")
        #expect(try read(#"{"bytesValue":"AQID"}"#) == "bytes 010203")
    }

    @Test func nullIsAbsent() throws {
        let nulls = #""name":null,"kind":null,"attributes":null,"events":null,"status":null,"startTimeUnixNano":null,"parentSpanId":null"#
        #expect(try transcode(span(nulls)) == (try transcode(span(#""name":"""#))))
        #expect(try read(#"{"stringValue":null}"#) == "absent")
        #expect(try read("null") == "absent")
        #expect(try read(#"{"arrayValue":{"values":[{"intValue":1},null,{}]}}"#) == "array [int 1, absent, absent]")
    }

    @Test func ofARepeatedKeyTheLastValueCountsAndListsAreJoined() throws {
        let json = span(#""name":"a","kind":3,"name":"b","kind":0,"events":[{"name":"1"}],"events":[{"name":"2"}]"#)
        let batch = try decode(try transcode(json))
        #expect(batch[0].name.matches("b"))
        #expect(batch[0].kind == 0)
        #expect(batch[0].eventCount == 2)
        #expect(try read(#"{"stringValue":"a","intValue":1}"#) == "int 1")
    }

    @Test func loneSurrogatesAndInvalidUTF8BecomeReplacementCharacters() throws {
        #expect(try read(#"{"stringValue":"a\ud800b"}"#) == "string a%EF%BF%BDb")
        #expect(try read(#"{"stringValue":"\udc00\ud83d\ude00\ud83d"}"#) == "string %EF%BF%BD%F0%9F%98%80%EF%BF%BD")
        #expect(try read(#"{"stringValue":"\ud83d\u0041"}"#) == "string %EF%BF%BDA")
        // An escaped backslash before the letter u is no escape.
        #expect(try read(#"{"stringValue":"\\ud800\udfff"}"#) == "string %5Cud800%EF%BF%BD")
        var bytes = Array(value(#"{"stringValue":"x#y\"z"}"#).utf8)
        bytes.replace([UInt8(ascii: "#")], with: [0xFF, 0xE2, 0x82])
        let batch = try decode(try transcode(bytes))
        #expect(batch[0].attributes.first("k").map(BatchText.value) == "string x%EF%BF%BD%EF%BF%BDy%22z")
    }

    @Test func valuesNestAsDeepAsTheLimitAndNoDeeper() throws {
        func nested(_ levels: Int) -> String {
            let arrays = String(repeating: #"{"arrayValue":{"values":["#, count: levels)
            return value(arrays + #"{"intValue":1}"# + String(repeating: "]}}", count: levels))
        }
        #expect(try transcode(nested(NestedValidator.nestingMax)) == Wire.nestedIntegers(NestedValidator.nestingMax))
        let error = try #require(jsonError(nested(NestedValidator.nestingMax + 1)))
        #expect(error.problem == .nestedTooDeep)
        #expect(jsonError(String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000))?.problem == .nestedTooDeep)
        #expect(jsonError(nested(10_000))?.problem == .nestedTooDeep)
        let lists = String(repeating: #"{"kvlistValue":{"values":[{"key":"k","value":"#, count: NestedValidator.nestingMax)
        let ends = String(repeating: "}]}}", count: NestedValidator.nestingMax)
        #expect(jsonError(value(lists + "{}" + ends)) == nil)
        #expect(jsonError(value(lists + #"{"kvlistValue":{}}"# + ends))?.problem == .nestedTooDeep)
    }

    @Test func largeDocumentsGetPaddedLengthsThatDecodeTheSame() throws {
        let one = #"{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"n"}"#
        let spans = [String](repeating: one, count: 5_000).joined(separator: ",")
        let json = #"{"resourceSpans":[{"scopeSpans":[{"spans":["# + spans + "]}]}]}"
        let batch = try decode(try transcode(json))
        #expect(batch.spanCount == 5_000)
        #expect((0..<5_000).allSatisfy { batch[$0].name.matches("n") })
    }

    @Test func documentsOverTheLimitAreRefused() {
        let transcoder = JSONTranscoder(documentBytesMax: 20)
        #expect(throws: JSONError(.tooLarge)) { try transcode(Array(#"{"resourceSpans":[ ]}"#.utf8), with: transcoder) }
        #expect(throws: Never.self) { try transcode(Array(#"{"resourceSpans":[]}"#.utf8), with: transcoder) }
    }

    @Test func aTranscoderServesManyDocumentsLargeSmallAndBroken() throws {
        let transcoder = JSONTranscoder()
        let full = try Fixture.bytes("full.json")
        let large = Array((#"{"x":[""# + String(repeating: "y", count: 3_000_000) + #""]}"#).utf8)
        for round in 0..<6 {
            #expect(try transcode(full, with: transcoder) == (try Fixture.bytes("full.pb")))
            if round % 2 == 0 { #expect(try transcode(large, with: transcoder) == []) }
            #expect(throws: JSONError(.notJSON)) { try transcode(Array(full.dropLast(3)), with: transcoder) }
        }
    }
}

extension Wire {
    /// As `nestedArrays`, with an integer inside, ids as the tests' JSON has them.
    fileprivate static func nestedIntegers(_ levels: Int) -> Fields {
        var value = number(3, 1)
        for _ in 0..<levels { value = bytes(5, bytes(1, value)) }
        return request(spanFields: bytes(9, attribute("k", value: value)))
    }
}
