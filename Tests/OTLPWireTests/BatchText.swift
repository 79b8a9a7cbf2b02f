import OTLPWire

/// Everything that views show of a batch, as lines; the same form that scripts/otlp_samples.py writes from the official library.
/// Walking it is also how tests make sure that no view of an accepted batch traps.
struct BatchText {
    private(set) var lines: [String] = []

    init(_ batch: TraceBatch) {
        for index in 0..<batch.spanCount { add(batch[index]) }
    }

    private mutating func add(_ span: SpanView) {
        let parent = span.parentSpanID.map { Self.hex($0.word) } ?? ""
        lines.append(
            "span \(Self.hex(span.traceID.high))\(Self.hex(span.traceID.low)) \(Self.hex(span.spanID.word)) parent=\(parent)"
                + " state=\(Self.text(span.traceState))")
        lines.append("  name=\(Self.text(span.name)) kind=\(span.kind) flags=\(span.flags) start=\(span.startTimeUnixNano)")
        let status = span.status
        lines.append(
            "  end=\(span.endTimeUnixNano) dropped=\(span.droppedAttributesCount),\(span.droppedEventsCount),\(span.droppedLinksCount)"
                + " status=\(status.code) \(Self.text(status.message))")
        add(span.attributes, indent: "  ")
        for index in 0..<span.eventCount {
            let event = span.event(at: index)
            lines.append("  event \(Self.text(event.name)) at=\(event.timeUnixNano) dropped=\(event.droppedAttributesCount)")
            add(event.attributes, indent: "    ")
        }
        for index in 0..<span.linkCount {
            let link = span.link(at: index)
            lines.append(
                "  link \(Self.hex(link.traceID)) \(Self.hex(link.spanID)) state=\(Self.text(link.traceState)) flags=\(link.flags)"
                    + " dropped=\(link.droppedAttributesCount)")
            add(link.attributes, indent: "    ")
        }
        let scope = span.scope
        lines.append(
            "  scope \(Self.text(scope.name)) \(Self.text(scope.version)) dropped=\(scope.droppedAttributesCount)"
                + " schema=\(Self.text(scope.schemaURL))")
        add(scope.attributes, indent: "    ")
        let resource = span.resource
        lines.append("  resource dropped=\(resource.droppedAttributesCount) schema=\(Self.text(resource.schemaURL))")
        add(resource.attributes, indent: "    ")
    }

    private mutating func add(_ attributes: AttributesView, indent: String) {
        for attribute in attributes { lines.append(indent + Self.attribute(attribute)) }
    }

    private static func attribute(_ attribute: KeyValueView) -> String {
        text(attribute.key) + "=" + value(attribute.value)
    }

    static func value(_ value: AnyValueView) -> String {
        switch value {
        case .absent: "absent"
        case .string(let bytes): "string " + text(bytes)
        case .bool(let value): "bool \(value)"
        case .int(let value): "int \(value)"
        case .double(let value): "double " + hex(value.isNaN ? 0x7FF8_0000_0000_0000 : value.bitPattern)
        case .bytes(let bytes): "bytes " + hex(bytes)
        case .array(let elements): "array [" + elements.map { Self.value($0) }.joined(separator: ", ") + "]"
        case .keyValueList(let list): "kvlist {" + list.map { attribute($0) }.joined(separator: ", ") + "}"
        }
    }

    private static func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func hex(_ bytes: WireBytes) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func text(_ bytes: WireBytes) -> String {
        var result = ""
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                result.unicodeScalars.append(UnicodeScalar(byte))
            case _ where "/:.-_~".utf8.contains(byte): result.unicodeScalars.append(UnicodeScalar(byte))
            default: result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }
}
