import Configuration
import OTLPWire
import Pipeline
import Testing

@testable import Redaction

@Suite struct KeyRedactionTests {
    private func redacted(_ yaml: String, _ attributes: [Attribute]) throws -> [Attribute] {
        try Stage("redaction", yaml).run(attributes)
    }

    /// What `blocked_values` and what else is given make of one allowed value.
    private func masked(_ value: Value, _ yaml: String) throws -> Value? {
        try redacted("allow_all_keys: true\n\(yaml)", [Attribute("k", value)]).first?.value
    }

    static let card = "4111111111111111"
    static let documented = """
        allow_all_keys: false
        allowed_keys: [description, group, id, name]
        ignored_keys: [safe_attribute]
        redact_all_types: true
        blocked_key_patterns: [".*token.*", ".*api_key.*"]
        blocked_values: ["4[0-9]{12}(?:[0-9]{3})?", "(5[1-5][0-9]{14})"]
        allowed_values: [".+@mycompany.com"]
        hash_function: md5
        summary: debug

        """

    @Test func theDocumentedConfigurationDoesWhatItSays() throws {
        let left = try redacted(
            Self.documented,
            [
                Attribute("id", 5), Attribute("description", .text("card \(Self.card)")), Attribute("secret", "x"),
                Attribute("safe_attribute", .text(Self.card)), Attribute("name", .text("\(Self.card) of jane@mycompany.com")),
                Attribute("another", 1),
            ])
        #expect(
            left == [
                Attribute("id", 5), Attribute("description", "card 5910f4ea0062a0e29afd3dccc741e3ce"),
                Attribute("safe_attribute", .text(Self.card)), Attribute("name", .text("\(Self.card) of jane@mycompany.com")),
                Attribute("redaction.redacted.keys", "another,secret"), Attribute("redaction.redacted.count", 2),
                Attribute("redaction.masked.keys", "description"), Attribute("redaction.masked.count", 1),
                Attribute("redaction.allowed.keys", "name"), Attribute("redaction.allowed.count", 1),
                Attribute("redaction.ignored.count", 1),
            ])
    }

    @Test func withoutKeysEverythingIsRemoved() throws {
        #expect(try redacted("", [Attribute("a", 1), Attribute("b", ["x"]), Attribute("", "")]).isEmpty)
    }

    @Test func allKeysAreAllowedWhenSaidSo() throws {
        let attributes = [Attribute("a", 1), Attribute("b", ["x"]), Attribute("", "")]
        #expect(try redacted("allow_all_keys: true", attributes) == attributes)
    }

    @Test(arguments: [
        ("blocked_values: ['[0-9]{4}']", "a 1234 b 5678", "a **** b ****"), ("blocked_values: [b+]", "abba", "a****a"),
        ("blocked_values: ['^x']", "xx", "****x"), ("blocked_values: [secret, 't\\*+']", "secret", "****"),
        ("blocked_values: ['\\d', '\\*{4}a']", "1a2", "********"), ("blocked_values: ['x*']", "axb", "****a****b****"),
        ("blocked_values: ['x*']", "", "****"), ("blocked_values: ['x*']", "é", "****é****"), ("blocked_values: ['.*']", "a", "****"),
        ("blocked_values: ['\\*+']", "****", "****"), ("blocked_values: [a, b]", "ccc", "ccc"), ("blocked_values: []", "abc", "abc"),
        ("blocked_values: ['(?i)SECRET', '(?P<a>x)', '(?P<a>y)']", "Secret xy", "**** ********"),
        ("blocked_values: ['\\Qa.b', c]", "a.b c axb", "**** **** axb"), ("blocked_values: [m]\nallowed_values: [am]", "am", "am"),
        ("blocked_values: [m]\nallowed_values: [am]", "em", "e****"),
        ("blocked_values: ['\\d+']\nhash_function: sha1", "id 42", "id 92cfceb39d57d914ed8b14d0e37643de0797ae56"),
        ("blocked_values: ['\\d+']\nhash_function: sha3", "42", "4e169ddf479c8cd9b4c45e0284181730cb42df3a8be892a7f379bd690db1eafa"),
        ("blocked_values: ['\\d+']\nhash_function: md5", "42", "a1d0c6e83f027327d8461063f4ac58a6"),
        (
            "blocked_values: ['\\d+']\nhash_function: hmac-sha256\nhmac_key: 0123456789abcdef0123456789abcdef", "42",
            "3b12d0412db185c98ff58825ed4c81cfbc7bdabcf33ac48bdaaae5f39fc65445"
        ),
        (
            "blocked_values: ['\\d+']\nhash_function: HMAC-SHA512\n"
                + "hmac_key: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "42",
            "cc12c35adc591b22ef4a6e180e544fc1775877b8e5867d50c0c400b3f721014c"
                + "560f35711759b35eb0b894527c0b3d816c54c5b6bf21986c78a50eb1d790acc7"
        ),
    ])
    func blockedValuesAreMaskedWhereTheyStand(_ yaml: String, _ text: String, _ expected: String) throws {
        #expect(try masked(.text(text), yaml) == .text(expected))
    }

    @Test(arguments: [
        ("one", "****"), ("", "****"), ("a\nb", "****\n****"), ("a\n", "****\n****"), ("a\n\nb", "****\n****\n****"),
    ])
    func blockedKeysAreMaskedWhole(_ text: String, _ expected: String) throws {
        #expect(try masked(.text(text), "blocked_key_patterns: ['^k$']") == .text(expected))
        #expect(try masked(.text(text), "blocked_key_patterns: ['^j$']") == .text(text))
    }

    @Test(arguments: [1, 2.5, true, .bytes([1]), ["4111111111111111"], .map([Attribute("a", 1)]), .absent] as [Value])
    func otherTypesAreSearchedOnlyWhenSaidSo(_ value: Value) throws {
        #expect(try masked(value, "blocked_values: ['[1-9]', AQ, 'true']") == value)
        #expect(try masked(value, "blocked_key_patterns: [k]") == "****")
        #expect(try masked(value, "redact_all_types: true\nallowed_values: ['.', '^$']\nblocked_key_patterns: [k]") == value)
    }

    @Test(
        arguments: [
            (4_111_111_111_111_111, "****"), (4.5, "****.5"), (true, true), (["4", "x"], #"["****","x"]"#),
            (.map([Attribute("a", 4)]), #"{"a":****}"#), (.bytes([0]), .bytes([0])),
        ] as [(Value, Value)])
    func otherTypesBecomeTexts(_ value: Value, _ expected: Value) throws {
        #expect(try masked(value, "redact_all_types: true\nblocked_values: ['4[0-9]{0,15}']") == expected)
    }

    @Test func ignoredKeysAreLeftAlone() throws {
        let attributes = [Attribute("safe", "1"), Attribute("sys.a", "1"), Attribute("other", "1")]
        let yaml = "ignored_keys: [safe]\nignored_key_patterns: ['^sys\\.']\nblocked_values: ['1']\nblocked_key_patterns: ['.']"
        #expect(
            try redacted(yaml + "\nsummary: info", attributes) == [
                attributes[0], attributes[1], Attribute("redaction.redacted.count", 1), Attribute("redaction.ignored.count", 2),
            ])
    }

    @Test func summariesOfSeveralProcessorsAddUp() throws {
        let attributes = [
            Attribute("redaction.masked.keys", "zeta,alpha"), Attribute("redaction.masked.count", 2), Attribute("m", "1"),
            Attribute("redaction.ignored.keys", "not ours"),
        ]
        #expect(
            try redacted("allowed_keys: [m]\nblocked_values: ['1']\nsummary: debug", attributes) == [
                Attribute("redaction.masked.keys", "alpha,m,zeta"), Attribute("redaction.masked.count", 3), Attribute("m", "****"),
                Attribute("redaction.redacted.keys", "redaction.ignored.keys"), Attribute("redaction.redacted.count", 1),
            ])
    }

    @Test func withoutASummaryNothingIsAdded() throws {
        for summary in ["", "summary: silent"] {
            #expect(try redacted("allowed_keys: [a]\n\(summary)", [Attribute("a", 1), Attribute("b", 2)]) == [Attribute("a", 1)])
        }
    }

    @Test func resourcesScopesAndEventsAreRedactedToo() throws {
        var request = TestRequest([Attribute("a", "1")])
        request.resource = [Attribute("service.name", "shop"), Attribute("host.ip", "1")]
        request.scopeAttributes = [Attribute("a", "1"), Attribute("b", 2)]
        request.spans[0].events = [[Attribute("a", "1")], [], [Attribute("a", "x")], [Attribute("b", "1")]]
        request.spans = Array(repeating: request.spans[0], count: 3)
        let stage = try Stage("redaction", "allowed_keys: [a, service.name]\nblocked_values: ['1']\nsummary: info")
        let batch = try request.decoded()
        #expect(stage.processor.consume(SpanBatch(batch)) == .accepted)
        let masked = [Attribute("a", "****"), Attribute("redaction.masked.count", 1)]
        for index in 0..<3 {
            let span = batch[index]
            #expect(
                span.resource.attributes.map(Attribute.init) == [
                    Attribute("service.name", "shop"), Attribute("redaction.redacted.count", 1),
                ])
            #expect(
                span.scope.attributes.map(Attribute.init) == [
                    Attribute("a", "****"), Attribute("redaction.redacted.count", 1), Attribute("redaction.masked.count", 1),
                ])
            #expect(String(decoding: span.scope.name, as: UTF8.self) == "tracer")
            #expect(String(decoding: span.name, as: UTF8.self) == "GET /")
            #expect(span.attributes.map(Attribute.init) == masked)
            #expect(
                (0..<4).map { span.event(at: $0).attributes.map(Attribute.init) } == [
                    masked, [], [Attribute("a", "x")], [Attribute("redaction.redacted.count", 1)],
                ])
            #expect(String(decoding: span.event(at: 0).name, as: UTF8.self) == "event")
        }
        let metrics = stage.registry.prometheusText()
        #expect(metrics.contains(#"collector_redaction_attributes_total{processor="redaction",fate="removed"} 5"#))
        #expect(metrics.contains(#"collector_redaction_attributes_total{processor="redaction",fate="masked"} 7"#))
    }

    @Test func whatIsAllowedIsNotRewritten() throws {
        let stage = try Stage("redaction", "allowed_keys: [a, service.name]\nblocked_values: ['1']")
        let batch = try TestRequest([Attribute("a", "x")]).decoded()
        let before = (batch[0].encodedAttributes.baseAddress, batch[0].resource.encoded.baseAddress, batch.byteCount)
        #expect(stage.processor.consume(SpanBatch(batch)) == .accepted)
        #expect(batch[0].encodedAttributes.baseAddress == before.0)
        #expect(batch[0].resource.encoded.baseAddress == before.1)
        #expect(batch.byteCount == before.2)
    }

    @Test func hostileSpansLoseWhatOthersLose() throws {
        let stage = try Stage(
            "redaction",
            """
            allowed_keys: [deep, broken, twice, huge]
            redact_all_types: true
            blocked_values: ['4[0-9]{12}(?:[0-9]{3})?']
            """)
        var deep = Value.text(Self.card)
        for level in 0..<60 { deep = level % 2 == 0 ? .list([deep]) : .map([Attribute("m", deep)]) }
        let card = Array(Self.card.utf8)
        var attributes = (0..<10_000).map { Attribute("k\($0 % 700)", .text(Self.card)) }
        attributes += [Attribute("deep", deep), Attribute("broken", .raw([0xFF, 0xC3] + card + [0xC3])), Attribute("twice", .raw(card))]
        attributes += [Attribute("twice", .raw(card)), Attribute("huge", .raw(Array(repeating: card, count: 65_536).flatMap { $0 }))]
        var limits = DecodeLimits()
        limits.attributesPerSpanMax = 20_000
        let batch = try TestRequest(attributes).decoded(limits: limits)
        #expect(stage.processor.consume(SpanBatch(batch)) == .accepted)
        #expect(batch[0].attributes.map(Attribute.init).map(\.key) == ["deep", "broken", "twice", "twice", "huge"])
        let left = Array(batch[0].encodedAttributes)
        #expect(!left.indices.dropLast(16).contains { left[$0] == card[0] && left[$0..<$0 + 16].elementsEqual(card) })
        #expect(Value(Array(batch[0].attributes)[1].value) == .raw([0xFF, 0xC3] + Array("****".utf8) + [0xC3]))
    }

    @Test func aKeyTableFindsItsKeysAndNoOthers() {
        let keys = (0..<500).map { String(repeating: "k", count: $0 % 40) + "\($0)" } + [""]
        let table = KeyTable(keys)
        func contains(_ key: String) -> Bool { Array(key.utf8).withUnsafeBytes { table.contains($0) } }
        #expect(keys.allSatisfy(contains))
        #expect(!keys.contains { contains($0 + "x") })
        #expect(!KeyTable([]).contains(WireBytes(start: nil, count: 0)))
    }

    @Test(arguments: [
        ("blocked_values: [a, 'b(']", "test.yaml:1:1: test.blocked_values: number 2 is not a regular expression, at offset"),
        ("allowed_values: ['b(']", "test.allowed_values: number 1 is not"),
        ("blocked_key_patterns: ['[']", "test.blocked_key_patterns: number 1"),
        ("ignored_key_patterns: ['*']", "test.ignored_key_patterns: number 1 is not a regular expression, at offset 0"),
        ("hash_function: sha2", "test.hash_function: 'sha2' is not one of md5, sha1, sha3, hmac-sha256, hmac-sha512"),
        ("hash_function: hmac-sha256", "test.hmac_key: is required for hmac-sha256"),
        ("hash_function: hmac-sha256\nhmac_key: short", "test.hmac_key: must have at least 32 bytes"),
        ("hash_function: hmac-sha512\nhmac_key: 0123456789abcdef0123456789abcdef", "test.hmac_key: must have at least 64 bytes"),
        ("hash_function: md5\nhmac_key: abc", "test.hmac_key: has no meaning"),
        ("summary: verbose", "'verbose' is not one of debug, info, silent"),
        ("allowed_keys: {a: b}", "test.allowed_keys: expected a list of texts"), ("allow_all_keys: maybe", "expected true or false"),
        ("url_sanitizer: {enabled: true}", "test.url_sanitizer: is not supported"), ("allow_keys: [a]", "unknown key 'allow_keys'"),
    ])
    func aMistakeIsAProblemWithItsPlace(_ yaml: String, _ expected: String) throws {
        let section = try ConfigSection(yaml: yaml)
        _ = KeyRedactionConfig(from: section)
        #expect(section.problemMessages.contains { $0.contains(expected) }, "\(section.problemMessages)")
    }
}
