import OTLPWire
import Testing

@testable import Redaction

@Suite struct AttributeActionTests {
    /// One of each type.
    static let values: [Value] = [
        "text", "", 7, -1, 2.5, true, false, .bytes([0, 255]), ["a", 1], .map([Attribute("inner", "x")]), .absent,
    ]

    @Test(arguments: values) func insertAddsWhereThereIsNoneAndLeavesWhatThereIs(_ value: Value) throws {
        let other = Attribute("other", 1)
        #expect(try acted("{key: k, value: new, action: insert}", on: [other]) == [other, Attribute("k", "new")])
        #expect(try acted("{key: k, value: new, action: insert}", on: [Attribute("k", value)]) == [Attribute("k", value)])
        let copied = try acted("{key: k, from_attribute: from, action: insert}", on: [Attribute("from", value)])
        #expect(copied == [Attribute("from", value), Attribute("k", value)])
        #expect(try acted("{key: k, from_attribute: from, action: insert}", on: [other]) == [other])
    }

    @Test(arguments: values) func updateChangesWhatThereIsAndAddsNothing(_ value: Value) throws {
        let other = Attribute("other", 1)
        #expect(try acted("{key: k, value: new, action: update}", on: [Attribute("k", value), other]) == [Attribute("k", "new"), other])
        #expect(try acted("{key: k, value: new, action: update}", on: [other]) == [other])
        let copied = try acted("{key: k, from_attribute: from, action: update}", on: [Attribute("k", "old"), Attribute("from", value)])
        #expect(copied == [Attribute("k", value), Attribute("from", value)])
        #expect(try acted("{key: k, from_attribute: from, action: update}", on: [Attribute("k", value)]) == [Attribute("k", value)])
    }

    @Test(arguments: values) func upsertDoesBoth(_ value: Value) throws {
        let other = Attribute("other", 1)
        #expect(try acted("{key: k, value: new, action: upsert}", on: [Attribute("k", value), other]) == [Attribute("k", "new"), other])
        #expect(try acted("{key: k, value: new, action: upsert}", on: [other]) == [other, Attribute("k", "new")])
        #expect(
            try acted("{key: k, from_attribute: from, action: upsert}", on: [Attribute("from", value)])
                == [Attribute("from", value), Attribute("k", value)])
        #expect(try acted("{key: k, from_attribute: from, action: upsert}", on: [other]) == [other])
    }

    @Test(arguments: values) func deleteRemovesByKeyByPatternAndByBoth(_ value: Value) throws {
        let attributes = [Attribute("a.one", value), Attribute("b", value), Attribute("a.two", value)]
        #expect(try acted("{key: b, action: delete}", on: attributes) == [attributes[0], attributes[2]])
        #expect(try acted("{pattern: '^a\\.', action: delete}", on: attributes) == [attributes[1]])
        #expect(try acted("{pattern: '^a\\.', key: b, action: delete}", on: attributes).isEmpty)
        #expect(try acted("{key: c, action: delete}", on: attributes) == attributes)
    }

    /// The digests are those of Python's hashlib over the bytes that the Go collector hashes.
    @Test(
        arguments: [
            ("user@example.com", "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"),
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (7, "aae89fc0f03e2959ae4d701a80cc3915918c950b159f6abb6c92c1433b1a8534"),
            (2.5, "5caaabe50da77f59f448b3edf650d68fbca7b858390664c251c52b3f458a881c"),
            (true, "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"),
            (false, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ] as [(Value, String)])
    func hashIsTheHexadecimalSHA256OfTheValue(_ value: Value, _ expected: String) throws {
        #expect(try acted("{key: k, action: hash}", on: [Attribute("k", value)]) == [Attribute("k", .text(expected))])
    }

    @Test(arguments: [.bytes([1]), ["a"], .map([Attribute("a", 1)]), .absent] as [Value])
    func hashLeavesNothingOfValuesThatHaveNoHash(_ value: Value) throws {
        #expect(try acted("{key: k, action: hash}", on: [Attribute("k", value)]) == [Attribute("k", "")])
    }

    @Test func hashTakesPatternsAndLeavesOtherKeys() throws {
        let attributes = [Attribute("user.id", "1"), Attribute("id", "2"), Attribute("user.name", "3")]
        let hashed = try acted("{pattern: '^user\\.', action: hash}", on: attributes)
        #expect(hashed[1] == attributes[1])
        #expect(hashed[0].value == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b")
        #expect(hashed[2].value == "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce")
    }

    @Test func extractMakesAttributesOfNamedGroupsAsInTheDocumentation() throws {
        let action = #"""
            {key: http.url, action: extract,
             pattern: '^(?P<http_protocol>.*):\/\/(?P<http_domain>.*)\/(?P<http_path>.*)(?:\?|\&)(?P<http_query_params>.*)'}
            """#
        let url = Attribute("http.url", "http://example.com/path?queryParam1=value1,queryParam2=value2")
        #expect(
            try acted(action, on: [Attribute("http_path", 1), url]) == [
                Attribute("http_path", "path"), url, Attribute("http_protocol", "http"), Attribute("http_domain", "example.com"),
                Attribute("http_query_params", "queryParam1=value1,queryParam2=value2"),
            ])
    }

    @Test(arguments: values) func extractReadsTextsOnly(_ value: Value) throws {
        let attributes = [Attribute("k", value)]
        let expected = value == "text" ? attributes + [Attribute("first", "t"), Attribute("z", "")] : attributes
        #expect(try acted("{key: k, action: extract, pattern: '(?P<first>t)(?:e)(?P<z>z)?'}", on: attributes) == expected)
    }

    @Test func extractMayReplaceItsOwnSource() throws {
        #expect(try acted("{key: k, action: extract, pattern: '(?P<k>b+)'}", on: [Attribute("k", "abbc")]) == [Attribute("k", "bb")])
    }

    @Test func actionsSeeWhatThoseBeforeThemDid() throws {
        let stage = try Stage(
            "attributes",
            """
            actions:
              - {key: operation, value: default, action: insert}
              - {key: svc.operation, from_attribute: operation, action: upsert}
              - {key: operation, action: delete}
            """)
        #expect(
            try stage.run([Attribute("operation", "subtract"), Attribute("math_value", 123)])
                == [Attribute("math_value", 123), Attribute("svc.operation", "subtract")])
        #expect(
            try stage.run([Attribute("svc.operation", "division"), Attribute("timeout", 3)])
                == [Attribute("svc.operation", "default"), Attribute("timeout", 3)])
    }

    @Test func theFirstOfSeveralActionsMayBeTheOnlyOneThatFindsItsKey() throws {
        let stage = try Stage(
            "attributes",
            """
            actions:
              - {key: parts, pattern: '(?P<left>a+)(?P<right>b+)', action: extract}
              - {key: copy, from_attribute: left, action: insert}
              - {key: left, action: delete}
              - {key: right, value: 0, action: update}
            """)
        #expect(try stage.run([Attribute("parts", "aab")]) == [Attribute("parts", "aab"), Attribute("right", 0), Attribute("copy", "aa")])
        #expect(try stage.run([Attribute("left", "a")]) == [Attribute("copy", "a")])
        #expect(try stage.run([Attribute("copy", "a")]) == [Attribute("copy", "a")])
    }

    @Test func valuesKeepTheTypeTheyAreWrittenIn() throws {
        let written: [(String, Value)] = [
            ("123", 123), ("'123'", "123"), ("true", true), ("2.5", 2.5), ("-1", -1), ("''", ""), ("[a, 1]", ["a", 1]),
            ("{a: {b: 2}}", .map([Attribute("a", .map([Attribute("b", 2)]))])), ("9223372036854775807", .int(.max)),
        ]
        for (yaml, value) in written {
            #expect(try acted("{key: k, action: upsert, value: \(yaml)}", on: []) == [Attribute("k", value)])
        }
    }

    @Test func aDefaultStandsInForAnAttributeThatIsNotThere() throws {
        let action = "{key: region, from_attribute: cloud.region, default_value: us-east-1, action: insert}"
        #expect(try acted(action, on: []) == [Attribute("region", "us-east-1")])
        #expect(try acted(action, on: [Attribute("cloud.region", "eu")]) == [Attribute("cloud.region", "eu"), Attribute("region", "eu")])
        #expect(try acted("{key: k, default_value: 1, action: upsert}", on: []) == [Attribute("k", 1)])
    }

    @Test func aKeySentTwiceDoesNotSlipThrough() throws {
        let twice = [Attribute("k", "a"), Attribute("x", 1), Attribute("k", "b")]
        #expect(try acted("{key: k, action: delete}", on: twice) == [Attribute("x", 1)])
        #expect(try acted("{key: k, value: '', action: update}", on: twice).filter { $0.key == "k" }.allSatisfy { $0.value == "" })
        #expect(try acted("{key: k, action: hash}", on: twice).allSatisfy { $0.value != "a" && $0.value != "b" })
        #expect(try acted("{key: y, from_attribute: k, action: insert}", on: twice).last == Attribute("y", "a"))
    }
}

@Suite struct ConversionTests {
    private func converted(_ value: Value, _ type: String) throws -> Value? {
        try acted("{key: k, action: convert, converted_type: \(type)}", on: [Attribute("k", value)]).first?.value
    }

    @Test(
        arguments: [
            ("500", 500), ("-7", -7), ("+7", 7), ("007", 7), ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
            ("12abc", "12abc"), ("", ""), ("-", "-"), (" 1", " 1"), ("1.5", "1.5"), ("1e3", "1e3"), ("0x10", "0x10"), ("1_000", "1_000"),
            ("9223372036854775808", "9223372036854775808"), ("-9223372036854775809", "-9223372036854775809"), ("٣", "٣"),
            (1.9, 1), (-1.9, -1), (1e300, 1e300), (-1e300, -1e300), (.double(.infinity), .double(.infinity)), (true, 1), (false, 0), (5, 5),
            (["1"], ["1"]), (.bytes([1]), .bytes([1])), (.absent, .absent), (.raw([0x31, 0xFF]), .raw([0x31, 0xFF])),
        ] as [(Value, Value)])
    func toInt(_ value: Value, _ expected: Value) throws {
        #expect(try converted(value, "int") == expected)
    }

    @Test func aNumberThatIsNoneStaysADouble() throws {
        guard case .double(let number)? = try converted(.double(.nan), "int") else { throw Stage.Problems(messages: ["no double"]) }
        #expect(number.isNaN)
    }

    @Test(
        arguments: [
            ("1.5", 1.5), ("-2", -2.0), ("1e300", 1e300), (".5", 0.5), ("0x1p4", 16.0), ("inf", .double(.infinity)),
            ("-Infinity", .double(-.infinity)), ("1e400", "1e400"), ("12abc", "12abc"), ("", ""), (" 1", " 1"), ("1,5", "1,5"),
            ("0x10", "0x10"), (7, 7.0), (.int(.max), 9_223_372_036_854_775_807.0), (true, 1.0), (false, 0.0), (2.5, 2.5), (["1"], ["1"]),
            (.absent, .absent), ("1\u{0}", "1\u{0}"),
        ] as [(Value, Value)])
    func toDouble(_ value: Value, _ expected: Value) throws {
        #expect(try converted(value, "double") == expected)
    }

    @Test(
        arguments: [
            (7, "7"), (.int(.min), "-9223372036854775808"), (1.0, "1"), (2.5, "2.5"), (-0.000001, "-0.000001"), (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e300, "1e+300"), (100.0, "100"), (0.0, "0"),
            (.double(.nan), "NaN"), (.double(-.infinity), "-Inf"), (true, "true"), (false, "false"), ("as it is", "as it is"),
            (.bytes([0, 255]), "AP8="), (.absent, ""), (["a\"", 1, 2.5, true, .absent], #"["a\"",1,2.5,true,null]"#),
            (.map([Attribute("b", [1]), Attribute("a", .map([]))]), #"{"b":[1],"a":{}}"#),
            ([.bytes([0]), .double(.nan)], #"["AA==","NaN"]"#),
        ] as [(Value, Value)])
    func toString(_ value: Value, _ expected: Value) throws {
        #expect(try converted(value, "string") == expected)
    }

    @Test func anAttributeThatIsNotThereStaysAway() throws {
        for type in ["int", "double", "string"] {
            #expect(try acted("{key: k, action: convert, converted_type: \(type)}", on: []).isEmpty)
        }
    }
}
