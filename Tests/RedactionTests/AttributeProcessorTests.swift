import Configuration
import OTLPWire
import Pipeline
import SelfTelemetry
import Testing

@testable import Redaction

@Suite struct AttributeProcessorTests {
    private static let resourceActions = """
        attributes:
          - {key: cloud.availability_zone, value: zone-1, action: upsert}
          - {key: k8s.cluster.name, from_attribute: k8s-cluster, action: insert}
          - {key: redundant-attribute, action: delete}
        """

    @Test func aResourceIsChangedOnceForAllItsSpans() throws {
        var request = TestRequest([Attribute("redundant-attribute", 1)])
        request.spans = Array(repeating: request.spans[0], count: 40)
        request.resource = [Attribute("k8s-cluster", "c1"), Attribute("redundant-attribute", "x")]
        let stage = try Stage("resource", Self.resourceActions)
        let batch = try request.decoded()
        // In two pieces, as after a batch processor.
        let whole = SpanSlice(batch)
        #expect(stage.processor.consume(SpanBatch(slices: [whole.part(0..<10)])) == .accepted)
        #expect(stage.processor.consume(SpanBatch(slices: [whole.part(10..<40)])) == .accepted)
        for index in [0, 39] {
            #expect(
                batch[index].resource.attributes.map(Attribute.init) == [
                    Attribute("k8s-cluster", "c1"), Attribute("cloud.availability_zone", "zone-1"), Attribute("k8s.cluster.name", "c1"),
                ])
            #expect(batch[index].attributes.map(Attribute.init) == [Attribute("redundant-attribute", 1)])
        }
        #expect(stage.registry.prometheusText().contains(#"collector_attribute_actions_changed_total{processor="resource"} 1"#))
        #expect(stage.kept.batches.withLock { $0.map(\.itemCount) } == [10, 30])
    }

    @Test(arguments: [
        "{key: gone, action: delete}", "{key: k, value: same, action: upsert}", "{key: k, value: x, action: insert}",
        "{key: k, action: convert, converted_type: string}", "{key: gone, from_attribute: k, action: update}",
    ])
    func whatNoActionChangesIsNotRewritten(_ action: String) throws {
        let stage = try Stage("attributes", "actions: [\(action)]")
        let batch = try TestRequest([Attribute("k", "same")]).decoded()
        let before = (batch[0].encodedAttributes.baseAddress, batch.byteCount)
        #expect(stage.processor.consume(SpanBatch(batch)) == .accepted)
        #expect(batch[0].encodedAttributes.baseAddress == before.0)
        #expect(batch.byteCount == before.1)
        #expect(stage.registry.prometheusText().contains(#"collector_attribute_actions_changed_total{processor="attributes"} 0"#))
    }

    @Test func everythingBesidesTheAttributesOfAResourceStays() throws {
        var output = OutputBuffer()
        output.appendMessage(1) { resourceSpans in
            resourceSpans.appendMessage(1) { resource in
                Attribute("a", 1).write(1, to: &resource)
                // droppedAttributesCount = 5, between the attributes.
                resource.append(UInt8(2 << 3))
                resource.append(UInt8(5))
                Attribute("b", 2).write(1, to: &resource)
            }
            resourceSpans.appendMessage(2) { scope in
                scope.appendMessage(2) { span in
                    [UInt8](repeating: 1, count: 16).withUnsafeBytes { span.appendBytesField(1, $0) }
                    [UInt8](repeating: 1, count: 8).withUnsafeBytes { span.appendBytesField(2, $0) }
                }
            }
        }
        let batch = try output.withBytes { try TraceBatch.decode($0, receivedUnixNano: 1) }
        let stage = try Stage("resource", "attributes: [{key: a, action: delete}, {key: c, value: 3, action: insert}]")
        #expect(stage.processor.consume(SpanBatch(batch)) == .accepted)
        #expect(batch[0].resource.attributes.map(Attribute.init) == [Attribute("b", 2), Attribute("c", 3)])
        #expect(batch[0].resource.droppedAttributesCount == 5)
    }

    @Test func aFullArenaRefusesTheBatch() throws {
        var limits = DecodeLimits()
        limits.arenaBytesFree = 4000
        limits.arenaBytesPerRequestByte = 1
        limits.changeBytesFree = 0
        limits.changeBytesPerRequestByte = 0
        let batch = try TestRequest([Attribute("k", "v")]).decoded(limits: limits)
        let stage = try Stage("attributes", "actions: [{key: k, action: upsert, value: \(String(repeating: "x", count: 5000))}]")
        #expect(stage.processor.consume(SpanBatch(batch)) == .permanent(.tooLarge))
        #expect(stage.kept.batches.withLock { $0.isEmpty })
        #expect(stage.registry.prometheusText().contains("collector_attribute_actions_refused_batches_total{processor=\"attributes\"} 1"))
    }

    @Test func hostileSpansAreChangedLikeOthers() throws {
        let stage = try Stage(
            "attributes",
            """
            actions:
              - {pattern: '^k99', action: hash}
              - {key: deep, action: convert, converted_type: string}
              - {key: broken, action: extract, pattern: '(?P<digits>\\d+)'}
              - {key: broken, action: hash}
              - {key: long, from_attribute: huge, action: upsert}
              - {pattern: '^k', action: delete}
            """)
        var deep = Value.text("x")
        for level in 0..<60 { deep = level % 2 == 0 ? .list([deep]) : .map([Attribute("m", deep)]) }
        let huge = Value.text(String(repeating: "y", count: 1 << 20))
        var attributes = (0..<10_000).map { Attribute("k\($0 % 500)", .int(Int64($0))) }
        attributes += [Attribute("deep", deep), Attribute("broken", .raw([0xFF, 0x31, 0x32, 0xC3])), Attribute("huge", huge)]
        attributes += [Attribute("", 1), Attribute("\u{0}", 2)]
        var limits = DecodeLimits()
        limits.attributesPerSpanMax = 20_000
        let batch = try TestRequest(attributes).decoded(limits: limits)
        #expect(stage.processor.consume(SpanBatch(batch)) == .accepted)
        let left = batch[0].attributes.map(Attribute.init)
        #expect(left.map(\.key) == ["deep", "broken", "huge", "", "\u{0}", "digits", "long"])
        #expect(batch[0].attributeCount == 7)
        #expect(left[5].value == "12")
        #expect(left[6].value == huge)
        guard case .text(let text) = left[0].value, case .text(let hash) = left[1].value else {
            throw Stage.Problems(messages: ["no texts"])
        }
        #expect(text.hasPrefix(#"{"m":[{"m":["#) && text.contains(#"["x"]"#))
        #expect(hash.utf8.count == 64)
    }
}

@Suite struct AttributeConfigTests {
    @Test(arguments: [
        ("", "test.yaml:1:1: test.actions: at least one action is required"),
        ("actions: []", "test.yaml:1:1: test.actions: at least one action is required"),
        ("actions: [{key: k}]", "test.yaml:1:11: test.actions[0].action: is required: one of insert"),
        ("actions: [{key: k, action: inset}]", "test.yaml:1:20: test.actions[0].action: 'inset' is not one of insert"),
        ("actions: [{key: k, action: insert}]", "test.actions[0]: insert needs one of value, from_attribute and default_value"),
        ("actions: [{action: upsert, value: 1}]", "test.actions[0].key: is required"),
        ("actions: [{action: convert, converted_type: int}]", "test.actions[0].key: is required"),
        ("actions: [{key: k, action: update, value: 1, from_attribute: b}]", "value and from_attribute exclude each other"),
        ("actions: [{key: k, action: update, value: 1, pattern: a}]", "pattern: has no meaning for update"),
        ("actions: [{key: k, action: update, value: 1, converted_type: int}]", "converted_type: has no meaning for update"),
        ("actions: [{action: delete}]", "test.actions[0]: delete needs a key, a pattern, or both"),
        ("actions: [{action: hash, key: ''}]", "test.actions[0]: hash needs a key, a pattern, or both"),
        ("actions: [{action: hash, key: k, value: 1}]", "test.actions[0].value: has no meaning for hash"),
        ("actions: [{action: delete, key: k, from_attribute: b}]", "from_attribute: has no meaning for delete"),
        ("actions: [{action: delete, pattern: 'a(b'}]", "test.yaml:1:28: test.actions[0].pattern: not a regular expression, at offset"),
        ("actions: [{action: extract, key: k}]", "test.actions[0].pattern: is required"),
        ("actions: [{action: extract, key: k, pattern: a}]", "test.actions[0].pattern: has no named group"),
        ("actions: [{action: extract, key: k, pattern: '(a)(?P<n>b)'}]", "test.actions[0].pattern: has a group without a name"),
        ("actions: [{action: extract, key: k, pattern: '(?P<n>b)', value: 1}]", "test.actions[0].value: has no meaning for extract"),
        ("actions: [{action: convert, key: k}]", "test.actions[0].converted_type: is required: one of string, int, double"),
        ("actions: [{action: convert, key: k, converted_type: bool}]", "converted_type: is not one of string, int, double"),
        ("actions: [{action: convert, key: k, converted_type: int, pattern: a}]", "pattern: has no meaning for convert"),
        ("actions: [{action: insert, key: k, from_context: metadata.x}]", "from_context: is not supported"),
        ("actions: [{action: insert, key: k, value: 1, vlaue: 2}]", "unknown key 'vlaue'"),
        ("include: {services: [a]}\nactions: [{key: k, action: delete}]", "test.include.match_type: is required: strict or regexp"),
        ("include: {match_type: glob, services: [a]}", "test.include.match_type: 'glob' is not one of strict, regexp"),
        ("include: {match_type: strict}", "test.yaml:1:1: test.include: names nothing to match"),
        ("exclude: {match_type: strict, services: []}", "test.exclude: names nothing to match"),
        ("include: {match_type: regexp, services: [a, 'b(']}", "test.include.services: number 2 is not a regular expression, at offset"),
        (
            "include: {match_type: regexp, attributes: [{key: k, value: 'b('}]}",
            "test.include.attributes[0].value: not a regular expression"
        ),
        (
            "include: {match_type: regexp, attributes: [{key: k, value: 1}]}",
            "attributes[0].value: with match_type: regexp this is a pattern"
        ),
        ("include: {match_type: strict, attributes: [{key: k, value: [1]}]}", "lists and mappings cannot be matched"),
        ("include: {match_type: strict, attributes: [{value: 1}]}", "test.include.attributes[0].key: is required"),
        ("include: {match_type: strict, libraries: [{version: '1'}]}", "test.include.libraries[0].name: is required"),
        ("include: {match_type: strict, span_kinds: [CLIENT]}", "span_kinds: with match_type: strict kinds are SPAN_KIND_INTERNAL"),
        ("include: {match_type: strict, log_bodies: [a]}", "test.include.log_bodies: is not for spans"),
    ])
    func aMistakeIsAProblemWithItsPlace(_ yaml: String, _ expected: String) throws {
        let section = try ConfigSection(yaml: yaml)
        _ = AttributesConfig(from: section)
        #expect(section.problemMessages.contains { $0.contains(expected) }, "\(section.problemMessages)")
    }

    @Test func everyMistakeIsFoundInOneRun() throws {
        let section = try ConfigSection(yaml: "actions: [{key: a, action: insert}, {action: delete}, {key: b, action: hash}]")
        #expect(AttributesConfig(from: section).actions.count == 1)
        #expect(section.problemMessages.count == 2)
    }

    @Test func actionsAreUnderstoodInAnyCase() throws {
        let section = try ConfigSection(yaml: "attributes: [{key: a, action: UPSERT, value: 1}, {key: a, action: Delete}]")
        #expect(ResourceConfig(from: section).actions.count == 2)
        #expect(section.problemMessages.isEmpty)
    }

    @Test func aChangedValueMakesAnotherConfiguration() throws {
        func text(_ value: String) throws -> String {
            let section = try ConfigSection(yaml: "actions: [{key: a, action: upsert, value: \(value)}]")
            _ = AttributesConfig(from: section)
            #expect(section.problemMessages.isEmpty)
            return section.comparisonText
        }
        let values = ["1", "'1'", "1.0", "true", "'true'", "[1]", "['1']", "{a: 1}", "{a: [1]}", "''"]
        #expect(try Set(values.map(text)).count == values.count)
    }

    @Test func theResourceProcessorNamesItsOwnKey() throws {
        let section = try ConfigSection(yaml: "actions: [{key: a, action: delete}]")
        _ = ResourceConfig(from: section)
        #expect(section.problemMessages.contains { $0.contains("test.attributes: at least one action is required") })
        #expect(section.problemMessages.contains { $0.contains("unknown key 'actions'") })
    }
}
