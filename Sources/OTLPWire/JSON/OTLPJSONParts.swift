/// Members of one JSON object in OTLP's spelling; keeps track of the commas. Defaults are left out.
struct JSONObject {
    private var isEmpty = true

    init(_ output: inout OutputBuffer) {
        output.append("{")
    }

    func close(_ output: inout OutputBuffer) {
        output.append("}")
    }

    /// Writes the member's name; its value follows.
    @inline(__always)
    mutating func open(_ name: StaticString, _ output: inout OutputBuffer) {
        output.append(isEmpty ? "\"" : ",\"")
        isEmpty = false
        output.append(name)
        output.append("\":")
    }

    mutating func text(_ name: StaticString, _ text: WireBytes, _ output: inout OutputBuffer) {
        guard text.count > 0 else { return }
        open(name, &output)
        output.appendJSONString(text, nul: .keep)
    }

    mutating func number(_ name: StaticString, _ value: UInt32, _ output: inout OutputBuffer) {
        guard value != 0 else { return }
        open(name, &output)
        output.appendDecimal(UInt64(value))
    }

    mutating func enumeration(_ name: StaticString, _ value: Int32, _ output: inout OutputBuffer) {
        guard value != 0 else { return }
        open(name, &output)
        output.appendDecimal(Int64(value))
    }

    mutating func time(_ name: StaticString, _ value: UInt64, _ output: inout OutputBuffer) {
        guard value != 0 else { return }
        open(name, &output)
        output.append("\"")
        output.appendDecimal(value)
        output.append("\"")
    }

    mutating func id(_ name: StaticString, _ bytes: WireBytes, _ output: inout OutputBuffer) {
        guard bytes.count > 0 else { return }
        open(name, &output)
        output.append("\"")
        output.appendHex(bytes)
        output.append("\"")
    }

    mutating func id(_ name: StaticString, _ id: TraceID, _ output: inout OutputBuffer) {
        withUnsafeBytes(of: (id.high.bigEndian, id.low.bigEndian)) { self.id(name, $0, &output) }
    }

    mutating func id(_ name: StaticString, _ id: SpanID, _ output: inout OutputBuffer) {
        withUnsafeBytes(of: id.word.bigEndian) { self.id(name, $0, &output) }
    }

    mutating func list(
        _ name: StaticString, count: Int, _ output: inout OutputBuffer, _ element: (Int, inout OutputBuffer) -> Void
    ) {
        guard count > 0 else { return }
        open(name, &output)
        for index in 0..<count {
            output.append(index == 0 ? "[" : ",")
            element(index, &output)
        }
        output.append("]")
    }

    mutating func attributes(_ attributes: AttributesView, _ output: inout OutputBuffer) {
        var attributes = attributes
        guard let first = attributes.next() else { return }
        open("attributes", &output)
        JSONValue.append(first, then: attributes, to: &output)
    }
}

/// Attribute values in OTLP's JSON: an object whose only member tells the type.
private enum JSONValue {
    /// `first` and the rest of its list as an array of key-value objects.
    static func append(_ first: KeyValueView?, then rest: AttributesView, to output: inout OutputBuffer) {
        output.append("[")
        var rest = rest
        var next = first ?? rest.next()
        while let attribute = next {
            output.append(#"{"key":"#)
            output.appendJSONString(attribute.key, nul: .keep)
            output.append(#","value":"#)
            append(attribute.value, to: &output)
            output.append("}")
            next = rest.next()
            if next != nil { output.append(",") }
        }
        output.append("]")
    }

    /// Nesting is limited: `NestedValidator.nestingMax`.
    static func append(_ value: AnyValueView, to output: inout OutputBuffer) {
        switch value {
        case .absent: output.append("{")
        case .string(let text):
            output.append(#"{"stringValue":"#)
            output.appendJSONString(text, nul: .keep)
        case .bool(let value): output.append(value ? #"{"boolValue":true"# : #"{"boolValue":false"#)
        case .int(let value):
            output.append(#"{"intValue":""#)
            output.appendDecimal(value)
            output.append("\"")
        case .double(let value):
            output.append(#"{"doubleValue":"#)
            output.appendProtobufJSONDouble(value)
        case .array(let elements):
            output.append(#"{"arrayValue":{"values":["#)
            var isFirst = true
            for element in elements {
                if !isFirst { output.append(",") }
                isFirst = false
                append(element, to: &output)
            }
            output.append("]}")
        case .keyValueList(let list):
            output.append(#"{"kvlistValue":{"values":"#)
            append(nil, then: list, to: &output)
            output.append("}")
        case .bytes(let bytes):
            output.append(#"{"bytesValue":""#)
            output.appendBase64(bytes)
            output.append("\"")
        }
        output.append("}")
    }
}

/// `Resource.entity_refs`, which nothing but this writer reads.
enum EntityRefs {
    static func append(_ resource: WireBytes, to object: inout JSONObject, _ output: inout OutputBuffer) {
        var reader = WireReader(resource)
        var isFirst = true
        while let field = try? reader.next() {
            guard field.number == OTLPField.Resource.entityRefs, field.type == .lengthDelimited else { continue }
            if isFirst { object.open("entityRefs", &output) }
            output.append(isFirst ? "[" : ",")
            isFirst = false
            append(field.bytes, to: &output)
        }
        if !isFirst { output.append("]") }
    }

    private static func append(_ entity: WireBytes, to output: inout OutputBuffer) {
        var object = JSONObject(&output)
        object.text("schemaUrl", last(OTLPField.EntityRef.schemaURL, in: entity), &output)
        object.text("type", last(OTLPField.EntityRef.type, in: entity), &output)
        list("idKeys", OTLPField.EntityRef.idKeys, of: entity, to: &object, &output)
        list("descriptionKeys", OTLPField.EntityRef.descriptionKeys, of: entity, to: &object, &output)
        object.close(&output)
    }

    private static func last(_ number: UInt32, in message: WireBytes) -> WireBytes {
        var found = WireBytes(start: nil, count: 0)
        var reader = WireReader(message)
        while let field = try? reader.next() {
            if field.number == number { found = field.bytes }
        }
        return found
    }

    private static func list(
        _ name: StaticString, _ number: UInt32, of message: WireBytes, to object: inout JSONObject, _ output: inout OutputBuffer
    ) {
        var reader = WireReader(message)
        var isFirst = true
        while let field = try? reader.next() {
            guard field.number == number else { continue }
            if isFirst { object.open(name, &output) }
            output.append(isFirst ? "[" : ",")
            isFirst = false
            output.appendJSONString(field.bytes, nul: .keep)
        }
        if !isFirst { output.append("]") }
    }
}
