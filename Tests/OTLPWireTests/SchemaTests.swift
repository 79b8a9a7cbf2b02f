import Testing

@testable import OTLPWire

/// One line of Fixtures/otlp_fields.tsv: a field as the published descriptors have it.
struct PublicField: CustomTestStringConvertible {
    let message: String
    let name: String
    let number: UInt32
    let wireType: UInt8
    let jsonName: String
    let isRepeated: Bool

    var testDescription: String { "\(message).\(name)" }

    /// Empty when the fixture cannot be read; a test asserts that it is not.
    static let all: [PublicField] = ((try? Fixture.text("otlp_fields.tsv")) ?? "").split(separator: "\n").compactMap { line in
        let columns = line.split(separator: "\t").map(String.init)
        guard columns.count >= 5, let number = UInt32(columns[2]), let wireType = UInt8(columns[3]) else { return nil }
        return PublicField(
            message: columns[0], name: columns[1], number: number, wireType: wireType, jsonName: columns[4],
            isRepeated: columns.last == "repeated")
    }

    /// Indexes into the string table of profiles, without meaning in traces.
    var isForProfilesOnly: Bool { name.hasSuffix("_strindex") }
}

extension WireMessage {
    var publicName: String {
        switch self {
        case .request: "ExportTraceServiceRequest"
        case .resourceSpans: "ResourceSpans"
        case .resource: "Resource"
        case .entityRef: "EntityRef"
        case .scopeSpans: "ScopeSpans"
        case .scope: "InstrumentationScope"
        case .span: "Span"
        case .event: "Event"
        case .link: "Link"
        case .status: "Status"
        case .keyValue: "KeyValue"
        case .anyValue: "AnyValue"
        case .arrayValue: "ArrayValue"
        case .keyValueList: "KeyValueList"
        }
    }

    /// A request in which one message of this type has these fields and nothing else that could be wrong.
    func request(_ fields: Fields) -> Fields {
        switch self {
        case .request: fields
        case .resourceSpans: Wire.bytes(1, fields)
        case .resource: WireMessage.resourceSpans.request(Wire.bytes(1, fields))
        case .entityRef: WireMessage.resource.request(Wire.bytes(3, fields))
        case .scopeSpans: WireMessage.resourceSpans.request(Wire.bytes(2, fields))
        case .scope: WireMessage.scopeSpans.request(Wire.bytes(1, fields))
        case .span: WireMessage.scopeSpans.request(Wire.bytes(2, fields))
        case .event: WireMessage.span.request(Wire.bytes(11, fields))
        case .link: WireMessage.span.request(Wire.bytes(13, fields))
        case .status: WireMessage.span.request(Wire.bytes(15, fields))
        case .keyValue: WireMessage.span.request(Wire.bytes(9, fields))
        case .anyValue: WireMessage.keyValue.request(Wire.bytes(2, fields))
        case .arrayValue: WireMessage.anyValue.request(Wire.bytes(5, fields))
        case .keyValueList: WireMessage.anyValue.request(Wire.bytes(6, fields))
        }
    }
}

@Suite struct SchemaTests {
    @Test func theSchemaTableHasThePublishedFieldsAndNoOthers() {
        #expect(PublicField.all.count > 50)
        for message in WireMessage.allCases {
            let published = PublicField.all.filter { $0.message == message.publicName && !$0.isForProfilesOnly }
            let ours = message.fields.map {
                "\($0.protoName) \($0.number) \($0.kind.wireType.rawValue) \($0.name) \($0.isRepeated)"
            }
            let theirs = published.map { "\($0.name) \($0.number) \($0.wireType) \($0.jsonName) \($0.isRepeated)" }
            #expect(ours.sorted() == theirs.sorted(), "\(message.publicName)")
        }
        #expect(Set(PublicField.all.map(\.message)) == Set(WireMessage.allCases.map(\.publicName)))
    }

    @Test func theReadersFieldNumbersArePublished() {
        func expect(_ message: String, _ numbers: KeyValuePairs<String, UInt32>) {
            for (name, number) in numbers {
                #expect(PublicField.all.first { $0.message == message && $0.name == name }?.number == number, "\(message).\(name)")
            }
        }
        typealias Field = OTLPField
        expect("KeyValue", ["key": Field.KeyValue.key, "value": Field.KeyValue.value])
        expect(
            "AnyValue",
            [
                "string_value": Field.AnyValue.string, "bool_value": Field.AnyValue.bool, "int_value": Field.AnyValue.int,
                "double_value": Field.AnyValue.double, "array_value": Field.AnyValue.array, "kvlist_value": Field.AnyValue.kvlist,
                "bytes_value": Field.AnyValue.bytes,
            ])
        expect("ArrayValue", ["values": Field.ArrayValue.values])
        expect("KeyValueList", ["values": Field.KeyValueList.values])
        expect(
            "Resource",
            [
                "attributes": Field.Resource.attributes, "dropped_attributes_count": Field.Resource.droppedAttributesCount,
                "entity_refs": Field.Resource.entityRefs,
            ])
        expect(
            "EntityRef",
            [
                "schema_url": Field.EntityRef.schemaURL, "type": Field.EntityRef.type, "id_keys": Field.EntityRef.idKeys,
                "description_keys": Field.EntityRef.descriptionKeys,
            ])
        expect(
            "InstrumentationScope",
            [
                "name": Field.Scope.name, "version": Field.Scope.version, "attributes": Field.Scope.attributes,
                "dropped_attributes_count": Field.Scope.droppedAttributesCount,
            ])
        expect(
            "Event",
            [
                "time_unix_nano": Field.Event.timeUnixNano, "name": Field.Event.name, "attributes": Field.Event.attributes,
                "dropped_attributes_count": Field.Event.droppedAttributesCount,
            ])
        expect(
            "Link",
            [
                "trace_id": Field.Link.traceID, "span_id": Field.Link.spanID, "trace_state": Field.Link.traceState,
                "attributes": Field.Link.attributes, "dropped_attributes_count": Field.Link.droppedAttributesCount,
                "flags": Field.Link.flags,
            ])
        expect("Status", ["message": Field.Status.message, "code": Field.Status.code])
        expect(
            "Span",
            [
                "trace_id": Field.Span.traceID, "span_id": Field.Span.spanID, "trace_state": Field.Span.traceState,
                "parent_span_id": Field.Span.parentSpanID, "name": Field.Span.name, "kind": Field.Span.kind,
                "start_time_unix_nano": Field.Span.startTimeUnixNano, "end_time_unix_nano": Field.Span.endTimeUnixNano,
                "attributes": Field.Span.attributes, "dropped_attributes_count": Field.Span.droppedAttributesCount,
                "events": Field.Span.events, "dropped_events_count": Field.Span.droppedEventsCount, "links": Field.Span.links,
                "dropped_links_count": Field.Span.droppedLinksCount, "status": Field.Span.status, "flags": Field.Span.flags,
            ])
    }

    /// Covers the generated descriptors of the envelope, the span's reader and the validator of what is in it. Entities are
    /// not looked into: only the JSON writer reads them, as far as they can be read.
    @Test(arguments: PublicField.all.filter { !$0.isForProfilesOnly && $0.message != "EntityRef" })
    func aFieldOfAnotherWireTypeIsRefused(field: PublicField) throws {
        let message = try #require(WireMessage.allCases.first { $0.publicName == field.message })
        for type: UInt8 in [0, 1, 2, 5] {
            let error = decodeError(message.request(Wire.any(field.number, type: type)))
            #expect(error == (type == field.wireType ? nil : .malformed), "wire type \(type)")
        }
    }
}
