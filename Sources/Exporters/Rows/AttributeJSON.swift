import OTLPWire

/// Writes attributes, events and links as the JSON of the `jsonb` columns, from which the OTLP value can be rebuilt exactly.
///
/// Integers have no fraction, doubles always one and never an exponent; what JSON cannot tell apart is tagged: `{"double":
/// "NaN"}` (and `-0`, `Infinity`, `-Infinity`), `{"bytes": "base64"}`. A key-value list is an object; one that repeats a key,
/// or whose only key is a tag's name, is `{"kvlist": [[key, value], …]}`. An absent value is null. Text that was moved to a
/// column leaves `{"column": …}` (`MovedText`). Text is sanitised first, so
/// keys that become equal by it count as repeated. Contract: database documentation, "Lossless".
///
/// One pass over the encoded attributes; time and memory are linear in their size however they nest and repeat.
struct AttributeJSON: ~Copyable {
    /// One member of an object, by its place in the output.
    private struct Member {
        let key: Range<Int>
        let valueEnd: Int
    }

    private var keys = KeySet()
    /// The members of the objects that are open, innermost last.
    private var members: [Member] = []
    private var scratch = OutputBuffer()
    private var moved: [MovedText] = []
    private var nextMoved = 0
    private var valuesLeft = 0
    private var textEnd = 0
    private var isOverLimit = false

    /// Memory for rewriting that is kept between columns.
    private static let scratchKeptBytes = 64 * 1024

    init() {
        members.reserveCapacity(64)
    }

    /// Writes the object of all `attributes`. False, with nothing written, when it would exceed a jsonb column's limits.
    ///
    /// - Parameter moved: attributes whose text stands in another column, by ascending place; they leave what says where.
    mutating func appendAttributes(_ attributes: AttributesView, moved: [MovedText] = [], to output: inout OutputBuffer) -> Bool {
        self.moved = moved
        nextMoved = 0
        return appendColumn(to: &output) { writer, output in writer.object(attributes, &output, isOutermost: true) }
    }

    /// Writes the array of the span's events; the same.
    mutating func appendEvents(of span: SpanView, to output: inout OutputBuffer) -> Bool {
        appendColumn(to: &output) { writer, output in
            for index in 0..<span.eventCount where !writer.isOverLimit {
                let event = span.event(at: index)
                output.append(index == 0 ? #"[{"name":"# : #",{"name":"#)
                output.appendJSONString(event.name, nul: .replace)
                output.append(#","time_unix_nano":"#)
                output.appendDecimal(event.timeUnixNano)
                writer.tail(event.attributes, dropped: event.droppedAttributesCount, &output)
            }
            output.append(span.eventCount == 0 ? "[]" : "]")
        }
    }

    /// Writes the array of the span's links, ids as lower-case hex of whatever length was sent; the same.
    mutating func appendLinks(of span: SpanView, to output: inout OutputBuffer) -> Bool {
        appendColumn(to: &output) { writer, output in
            for index in 0..<span.linkCount where !writer.isOverLimit {
                let link = span.link(at: index)
                output.append(index == 0 ? #"[{"trace_id":""# : #",{"trace_id":""#)
                output.appendHex(link.traceID)
                output.append(#"","span_id":""#)
                output.appendHex(link.spanID)
                output.append(#"","trace_state":"#)
                output.appendJSONString(link.traceState, nul: .replace)
                output.append(#","flags":"#)
                output.appendDecimal(UInt64(link.flags))
                writer.tail(link.attributes, dropped: link.droppedAttributesCount, &output)
            }
            output.append(span.linkCount == 0 ? "[]" : "]")
        }
    }

    /// Writes one value; the same.
    mutating func appendValue(_ value: AnyValueView, to output: inout OutputBuffer) -> Bool {
        appendColumn(to: &output) { writer, output in writer.value(value, &output) }
    }

    @inline(__always)
    private mutating func appendColumn(
        to output: inout OutputBuffer, _ body: (inout AttributeJSON, inout OutputBuffer) -> Void
    ) -> Bool {
        let start = output.count
        keys.startOver()
        valuesLeft = RowLimits.jsonValuesMax
        textEnd = start + RowLimits.jsonTextBytesMax
        isOverLimit = false
        body(&self, &output)
        if output.count <= textEnd, !isOverLimit { return true }
        members.removeAll()
        output.truncate(to: start)
        return false
    }

    /// What events and links end with.
    private mutating func tail(_ attributes: AttributesView, dropped: UInt32, _ output: inout OutputBuffer) {
        output.append(#","attributes":"#)
        countValue(output)
        object(attributes, &output)
        output.append(#","dropped_attributes":"#)
        output.appendDecimal(UInt64(dropped))
        output.append(UInt8(ascii: "}"))
    }

    @inline(__always)
    private mutating func countValue(_ output: borrowing OutputBuffer) {
        valuesLeft &-= 1
        if valuesLeft < 0 || output.count > textEnd { isOverLimit = true }
    }

    private mutating func value(_ value: AnyValueView, _ output: inout OutputBuffer) {
        countValue(output)
        if isOverLimit { return }
        switch value {
        case .absent: output.append("null")
        case .string(let bytes): output.appendJSONString(bytes, nul: .replace)
        case .bool(let flag): output.append(flag ? "true" : "false")
        case .int(let number): output.appendDecimal(number)
        case .double(let number): output.appendTaggedDouble(number)
        case .bytes(let bytes):
            output.append(#"{"bytes":""#)
            output.appendBase64(bytes)
            output.append(#""}"#)
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { output.append(UInt8(ascii: ",")) }
                isFirst = false
                self.value(element, &output)
                if isOverLimit { return }
            }
            output.append(UInt8(ascii: "]"))
        case .keyValueList(let attributes): object(attributes, &output)
        }
    }

    private mutating func object(_ attributes: AttributesView, _ output: inout OutputBuffer, isOutermost: Bool = false) {
        var place = 0
        let start = output.count
        let firstMember = members.count
        let number = keys.openObject()
        var repeatsKey = false
        output.append(UInt8(ascii: "{"))
        for attribute in attributes {
            if members.count > firstMember { output.append(UInt8(ascii: ",")) }
            let keyStart = output.count
            output.appendJSONString(attribute.key, nul: .replace)
            let key = keyStart..<output.count
            let isNew = output.withBytes { bytes in
                bytes.baseAddress.map { keys.insert(object: number, start: key.lowerBound, count: key.count, in: $0) } ?? true
            }
            if !isNew { repeatsKey = true }
            output.append(UInt8(ascii: ":"))
            if isOutermost, nextMoved < moved.count, moved[nextMoved].attribute == place {
                moved[nextMoved].append(to: &output)
                nextMoved += 1
            } else {
                value(attribute.value, &output)
                if isOverLimit { return }
            }
            place += 1
            members.append(Member(key: key, valueEnd: output.count))
        }
        output.append(UInt8(ascii: "}"))
        if repeatsKey || members.count == firstMember + 1 && isTag(members[firstMember].key, in: output) {
            rewriteAsPairs(from: start, firstMember, &output)
        }
        members.removeLast(members.count - firstMember)
    }

    private func isTag(_ key: Range<Int>, in output: borrowing OutputBuffer) -> Bool {
        output.withBytes { bytes in
            let text = WireBytes(rebasing: bytes[key])
            return text.matches(#""double""#) || text.matches(#""bytes""#) || text.matches(#""kvlist""#) || text.matches(#""column""#)
        }
    }

    /// Turns the object that begins at `start` into its `kvlist` form. The members' text is copied, not written anew: writing
    /// anew at each level would take time exponential in the depth.
    private mutating func rewriteAsPairs(from start: Int, _ firstMember: Int, _ output: inout OutputBuffer) {
        scratch.removeAll(keepingCapacity: Self.scratchKeptBytes)
        output.withBytes { bytes in
            for member in members[firstMember...] {
                scratch.append(scratch.isEmpty ? #"{"kvlist":[["# : ",[")
                scratch.append(WireBytes(rebasing: bytes[member.key]))
                scratch.append(UInt8(ascii: ","))
                scratch.append(WireBytes(rebasing: bytes[(member.key.upperBound + 1)..<member.valueEnd]))
                scratch.append(UInt8(ascii: "]"))
            }
        }
        scratch.append("]}")
        output.truncate(to: start)
        scratch.withBytes { output.append($0) }
    }
}
