import OTLPWire
import Pipeline
import Testing

@testable import Redaction

/// `include` and `exclude`. Every case deletes the attribute `secret` from the spans it selects.
@Suite struct SpanMatchTests {
    private func isSelected(
        _ filter: String, _ attributes: [Attribute] = [], _ change: (inout TestRequest) -> Void = { _ in }
    ) throws -> Bool {
        var request = TestRequest(attributes + [Attribute("secret", "x")])
        change(&request)
        let stage = try Stage("attributes", filter + "\nactions: [{key: secret, action: delete}]")
        return try stage.run(request) { span in !span.attributes.map(Attribute.init).contains { $0.key == "secret" } }
    }

    @Test(arguments: [
        ("services: [shop]", true), ("services: [other, shop]", true), ("services: [sho]", false), ("span_names: ['GET /']", true),
        ("span_names: [GET]", false), ("span_kinds: [SPAN_KIND_CLIENT]", true), ("span_kinds: [SPAN_KIND_SERVER]", false),
        ("libraries: [{name: tracer}]", true), ("libraries: [{name: tracer, version: '1.0'}]", true),
        ("libraries: [{name: tracer, version: '1.1'}]", false), ("libraries: [{name: tracer, version: ''}]", false),
        ("libraries: [{name: other}, {name: tracer}]", true),
        ("libraries: [{name: tracer, version: '2'}, {name: x, version: '1.0'}]", false),
        ("resources: [{key: service.name, value: shop}]", true), ("resources: [{key: service.name}]", true),
        ("resources: [{key: service.name}, {key: host.name}]", false), ("services: [shop]\n  span_names: [other]", false),
    ])
    func strictComparesTheWhole(_ match: String, _ expected: Bool) throws {
        #expect(try isSelected("include:\n  match_type: strict\n  \(match)") == expected)
        #expect(try isSelected("exclude:\n  match_type: strict\n  \(match)") == !expected)
    }

    @Test(arguments: [
        ("services: [sh.p]", true), ("services: [^hop]", false), ("span_names: [GET]", true), ("span_kinds: [CLIENT, SERVER]", true),
        ("span_kinds: ['^SPAN_KIND_SERVER$']", false), ("libraries: [{name: '^trac', version: '^1'}]", true),
        ("resources: [{key: service.name, value: '^s'}]", true), ("resources: [{key: host.name, value: '.*'}]", false),
    ])
    func regexpSearches(_ match: String, _ expected: Bool) throws {
        #expect(
            try isSelected("include:\n  match_type: regexp\n  regexp: {cacheenabled: true, cachemaxnumentries: 100}\n  \(match)")
                == expected)
    }

    static let odd: [Attribute] = [
        Attribute("env", "dev"), Attribute("flag", false), Attribute("count", 3), Attribute("ratio", 0.5), Attribute("list", ["a", 1]),
        Attribute("none", .absent),
    ]

    @Test(arguments: [
        ("strict", "{key: env, value: dev}", true), ("strict", "{key: env, value: de}", false),
        ("strict", "{key: flag, value: false}", true),
        ("strict", "{key: flag, value: 'false'}", false), ("strict", "{key: count, value: 3}", true),
        ("strict", "{key: count, value: 3.0}", true), ("strict", "{key: count, value: '3'}", false),
        ("strict", "{key: ratio, value: 0.5}", true), ("strict", "{key: ratio, value: 1}", false), ("strict", "{key: list}", true),
        ("strict", "{key: none}", true), ("strict", "{key: gone}", false),
        ("strict", "{key: env, value: dev}, {key: count, value: 4}", false),
        ("strict", "{key: env, value: dev}, {key: count}", true), ("regexp", "{key: env, value: '^d'}", true),
        ("regexp", "{key: count, value: '^3$'}", true), ("regexp", "{key: ratio, value: '^0.5$'}", true),
        ("regexp", "{key: flag, value: fal}", true), ("regexp", #"{key: list, value: '^\["a",1\]$'}"#, true),
        ("regexp", "{key: none, value: '.*'}", false), ("regexp", "{key: env}", true),
    ])
    func attributesAllHaveToMatch(_ type: String, _ list: String, _ expected: Bool) throws {
        #expect(try isSelected("include: {match_type: \(type), attributes: [\(list)]}", Self.odd) == expected)
    }

    @Test func includeIsAskedBeforeExclude() throws {
        let filter = """
            include: {match_type: strict, services: [svcA, svcB]}
            exclude: {match_type: strict, attributes: [{key: redact_trace, value: false}]}
            """
        let cases: [(String, Value, Bool)] = [("svcB", "false", true), ("svcA", true, true), ("svcB", false, false), ("svcC", true, false)]
        for (service, value, expected) in cases {
            let isSelected = try isSelected(filter, [Attribute("redact_trace", value)]) {
                $0.resource = [Attribute("service.name", .text(service))]
            }
            #expect(isSelected == expected)
        }
    }

    @Test func aServiceWithoutANameMatchesNone() throws {
        #expect(try !isSelected("include: {match_type: regexp, services: ['.*']}") { $0.resource = [] })
        #expect(try isSelected("exclude: {match_type: regexp, services: ['.*']}") { $0.resource = [] })
    }

    @Test func aKindThatDoesNotExistMatchesNone() throws {
        #expect(try !isSelected("include: {match_type: regexp, span_kinds: ['.*']}") { $0.spans[0].kind = 99 })
    }

    @Test func whatIsKnownOfAResourceIsForgottenWithItsBatch() throws {
        let stage = try Stage(
            "attributes", "include: {match_type: strict, services: [shop]}\nactions: [{key: secret, action: delete}]")
        var other = TestRequest([Attribute("secret", 1)])
        other.resource = [Attribute("service.name", "work")]
        for _ in 0..<50 {
            #expect(try stage.run([Attribute("secret", 1)]).isEmpty)
            #expect(try stage.run(other) { $0.attributeCount } == 1)
        }
    }
}
