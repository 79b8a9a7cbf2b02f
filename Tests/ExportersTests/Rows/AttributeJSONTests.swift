import OTLPWire
import Pipeline
import Testing

@testable import Exporters

@Suite struct AttributeJSONTests {
    /// The JSON text of a span's attributes; nil when refused for its size.
    private func json(_ attributes: [ModelAttribute]) throws -> String? {
        var writer = AttributeJSON()
        var output = OutputBuffer()
        var isWhole = true
        try Model.batch([ModelSpan(attributes: attributes)]).forEach {
            isWhole = writer.appendAttributes($0.span.attributes, to: &output)
        }
        return isWhole ? output.withBytes { String(decoding: $0, as: UTF8.self) } : nil
    }

    private func json(_ value: ModelValue) throws -> String? {
        try json([ModelAttribute("k", value)]).map { String($0.dropFirst(5).dropLast()) }
    }

    @Test func noAttributesAreAnEmptyObject() throws {
        #expect(try json([]) == "{}")
    }

    @Test(arguments: [
        (ModelValue.absent, "null"), (.bool(true), "true"), (.bool(false), "false"),
        (.int(0), "0"), (.int(.min), "-9223372036854775808"), (.int(.max), "9223372036854775807"),
        (.double(0), "0.0"), (.double(-1), "-1.0"), (.double(0.1), "0.1"), (.double(1e21), "1000000000000000000000.0"),
        (.double(1e-7), "0.0000001"), (.double(-0.0), #"{"double": "-0"}"#), (.double(.nan), #"{"double": "NaN"}"#),
        (.double(.infinity), #"{"double": "Infinity"}"#), (.double(-.infinity), #"{"double": "-Infinity"}"#),
        (.bytes([]), #"{"bytes":""}"#), (.bytes([0, 0xFF, 1]), #"{"bytes":"AP8B"}"#),
        (.text(""), #""""#), (.text("a\"b\\c\n"), #""a\"b\\c\n""#), (.string([0x61, 0]), "\"a\u{FFFD}\""),
        (.string([0xC3]), "\"\u{FFFD}\""), (.array([]), "[]"), (.array([.int(1), .text("x"), .absent]), #"[1,"x",null]"#),
        (.kvlist([]), "{}"), (.kvlist([ModelAttribute("a", .int(1)), ModelAttribute("b", .int(2))]), #"{"a":1,"b":2}"#),
    ])
    func eachKindOfValueHasItsForm(value: ModelValue, text: String) throws {
        #expect(try json(value) == text)
    }

    @Test func aRepeatedKeyMakesPairsThatKeepAllValuesInOrder() throws {
        let members = [ModelAttribute("a", .int(1)), ModelAttribute("b", .int(2)), ModelAttribute("a", .int(3))]
        #expect(try json(members) == #"{"kvlist":[["a",1],["b",2],["a",3]]}"#)
        #expect(try json(.kvlist(members)) == #"{"kvlist":[["a",1],["b",2],["a",3]]}"#)
    }

    @Test func keysThatSanitisingMakesEqualAreRepeated() throws {
        #expect(
            try json([ModelAttribute([0], .int(1)), ModelAttribute([0xFF], .int(2))]) == "{\"kvlist\":[[\"\u{FFFD}\",1],[\"\u{FFFD}\",2]]}")
    }

    @Test(arguments: ["double", "bytes", "kvlist", "column"])
    func anObjectThatLooksLikeATagMakesPairs(tag: String) throws {
        #expect(try json([ModelAttribute(tag, .text("x"))]) == #"{"kvlist":[["\#(tag)","x"]]}"#)
        #expect(try json([ModelAttribute(tag, .text("x")), ModelAttribute("b", .int(1))]) == #"{"\#(tag)":"x","b":1}"#)
        #expect(try json(.kvlist([ModelAttribute(tag, .int(1))])) == #"{"kvlist":[["\#(tag)",1]]}"#)
    }

    @Test func theSameKeyInInnerAndOuterObjectsIsNoRepetition() throws {
        let inner = ModelValue.kvlist([ModelAttribute("a", .kvlist([ModelAttribute("a", .int(1))])), ModelAttribute("b", .int(2))])
        #expect(try json([ModelAttribute("a", inner), ModelAttribute("b", .absent)]) == #"{"a":{"a":{"a":1},"b":2},"b":null}"#)
    }

    @Test func aRepetitionIsFoundAmongManyKeysAndAfterInnerObjects() throws {
        var members = (0..<2_000).map { ModelAttribute("key-\($0)", .kvlist([ModelAttribute("key-\($0)", .absent)])) }
        let unique = try #require(try json(.kvlist(members)))
        #expect(!unique.contains(#"{"kvlist""#))
        members.append(ModelAttribute("key-3", .absent))
        let repeated = try #require(try json(.kvlist(members)))
        #expect(repeated.hasPrefix(#"{"kvlist":[["key-0","#) && repeated.hasSuffix(#",["key-3",null]]}"#))
    }

    @Test func repeatedKeysAtEveryLevelStayLinear() throws {
        // Written anew at each of the 60 levels, this would take 2^60 steps.
        var value = ModelValue.int(1)
        for _ in 0..<60 { value = .kvlist([ModelAttribute("a", value), ModelAttribute("a", .int(0))]) }
        let text = try #require(try json(value))
        #expect(try Rebuild.value(JSONText.parse(text)) == value)
    }

    @Test func moreValuesThanAJSONBColumnMayHoldAreRefusedWhole() throws {
        #expect(try json(.array(Array(repeating: .absent, count: RowLimits.jsonValuesMax + 1))) == nil)
        #expect(try json(.array(Array(repeating: .absent, count: 1_000))) != nil)
    }

    @Test func aColumnThatWasRefusedDoesNotSpoilTheNext() throws {
        let batch = try Model.batch([
            ModelSpan(attributes: [ModelAttribute("a", .array(Array(repeating: .absent, count: RowLimits.jsonValuesMax + 1)))]),
            ModelSpan(attributes: [ModelAttribute("a", .int(1)), ModelAttribute("b", .int(2))]),
        ])
        var writer = AttributeJSON()
        var texts: [String?] = []
        batch.forEach { reference in
            var output = OutputBuffer()
            let isWhole = writer.appendAttributes(reference.span.attributes, to: &output)
            texts.append(isWhole ? output.withBytes { String(decoding: $0, as: UTF8.self) } : nil)
            let isEmpty = output.isEmpty
            if !isWhole { #expect(isEmpty) }
        }
        #expect(texts == [nil, #"{"a":1,"b":2}"#])
    }

    @Test func eventsAndLinksHaveTheContractsMembers() throws {
        let span = ModelSpan(
            events: [ModelEvent(time: .max, name: Array("e".utf8), attributes: [ModelAttribute("x", .int(1))], dropped: 2)],
            links: [ModelLink(traceID: [0xAB, 0x01], spanID: [], traceState: Array("s".utf8), attributes: [], dropped: 0, flags: 257)])
        var events = OutputBuffer()
        var links = OutputBuffer()
        var writer = AttributeJSON()
        try Model.batch([span]).forEach {
            #expect(writer.appendEvents(of: $0.span, to: &events))
            #expect(writer.appendLinks(of: $0.span, to: &links))
        }
        #expect(
            events.withBytes { String(decoding: $0, as: UTF8.self) }
                == #"[{"name":"e","time_unix_nano":18446744073709551615,"attributes":{"x":1},"dropped_attributes":2}]"#)
        #expect(
            links.withBytes { String(decoding: $0, as: UTF8.self) }
                == #"[{"trace_id":"ab01","span_id":"","trace_state":"s","flags":257,"attributes":{},"dropped_attributes":0}]"#)
    }
}
