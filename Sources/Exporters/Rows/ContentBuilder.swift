import OTLPWire

/// Puts the texts of one span's content columns together, and notes which attributes they were moved from.
struct ContentBuilder: ~Copyable {
    /// A column's text: as it lies in the span, or put together here.
    enum Text {
        case none
        case span(WireBytes)
        case built(Range<Int>)
    }

    private(set) var moved: [MovedText] = []
    private var text = OutputBuffer()
    private var scratch = OutputBuffer()
    private var keys = KeySet()

    /// Texts gathered from many attributes are moved from this length on: a shorter one takes no more room than what would be left.
    private static let movedBytesMin = 64
    /// Memory for texts that is kept between spans.
    private static let textKeptBytes = 256 * 1024

    @inline(__always)
    mutating func startOver() {
        if !moved.isEmpty { moved.removeAll(keepingCapacity: true) }
        if !text.isEmpty { text.removeAll(keepingCapacity: Self.textKeptBytes) }
    }

    mutating func finish() {
        moved.sort { $0.attribute < $1.attribute }
        scratch.removeAll(keepingCapacity: Self.textKeptBytes)
    }

    /// Valid until something is added.
    func bytes(_ text: Text) -> WireBytes? {
        switch text {
        case .none: nil
        case .span(let bytes): bytes
        case .built(let range): self.text.withBytes { WireBytes(rebasing: $0[range]) }
        }
    }

    /// A user's or session's name: text, a number, or the first present of some members of JSON text.
    mutating func name(_ value: AnyValueView?, _ members: [StaticString]) -> Text {
        let start = text.count
        switch value {
        case .string(let bytes)?:
            if members.isEmpty { return bytes.count > 0 ? .span(bytes) : .none }
            guard let member = JSONMembers.text(bytes, members: members) else { return .none }
            member.append(to: &text)
        case .int(let number)?: text.appendDecimal(number)
        case .absent?, .bool?, .double?, .array?, .keyValueList?, .bytes?, nil: return .none
        }
        return .built(start..<text.count)
    }

    /// The column's text, of at most `limit` bytes and a marker when that is not 0.
    mutating func content(_ side: FoundContent, _ span: SpanView, limit: Int, _ json: inout AttributeJSON) -> Text {
        let movedBefore = moved.count
        let start = text.count
        var result = Text.none
        if side.source == .events {
            events(span, side.side, &json)
            result = .built(start..<text.count)
        } else if !side.entries.isEmpty {
            gathered(side, &json)
            result = .built(start..<text.count)
        } else if let whole = side.whole {
            if let instructions = side.instructions, !Self.isEmpty(instructions.value), !Self.isEmpty(whole.value) {
                composed(instructions, whole, &json)
                result = .built(start..<text.count)
            } else {
                result = single(whole, side.side, &json)
            }
        }
        if case .span(let bytes) = result, bytes.count > RowLimits.textBytesMax / 3 {
            // Invalid UTF-8 grows by repair, up to three times.
            text.appendSanitised(bytes)
            result = .built(start..<text.count)
        }
        // What a column cannot hold whole stays in the attributes.
        if length(result) > RowLimits.textBytesMax { moved.removeLast(moved.count - movedBefore) }
        return length(result) > 0 ? cut(result, to: limit) : .none
    }

    private func length(_ text: Text) -> Int {
        switch text {
        case .none: 0
        case .span(let bytes): bytes.count
        case .built(let range): range.count
        }
    }

    private static func isEmpty(_ value: AnyValueView) -> Bool {
        switch value {
        case .absent: true
        case .string(let text): text.count == 0
        case .bool, .int, .double, .array, .keyValueList, .bytes: false
        }
    }

    private mutating func single(
        _ whole: (attribute: Int, value: AnyValueView), _ side: GenAIContentSource.Side, _ json: inout AttributeJSON
    ) -> Text {
        if case .string(let bytes) = whole.value {
            if bytes.count > 0 { moved.append(MovedText(attribute: whole.attribute, side: side, form: .whole)) }
            return .span(bytes)
        }
        if case .absent = whole.value { return .none }
        let start = text.count
        guard json.appendValue(whole.value, to: &text) else { return .none }
        moved.append(MovedText(attribute: whole.attribute, side: side, form: .json))
        return .built(start..<text.count)
    }

    /// Instructions, then messages: one JSON array where both are JSON as the conventions have it, else one after the other.
    private mutating func composed(
        _ instructions: (attribute: Int, value: AnyValueView), _ messages: (attribute: Int, value: AnyValueView),
        _ json: inout AttributeJSON
    ) {
        let start = text.count
        let asArray = Self.isJSON(instructions.value) && Self.isArray(messages.value)
        if asArray { text.append(#"[{"role":"system","parts":"#) }
        part(instructions, columnStart: start, withoutBracket: false, &json)
        text.append(asArray ? "}," : "\n")
        part(messages, columnStart: start, withoutBracket: asArray, &json)
    }

    /// Appends one value and notes where in the column it stands.
    private mutating func part(
        _ found: (attribute: Int, value: AnyValueView), columnStart: Int, withoutBracket: Bool, _ json: inout AttributeJSON
    ) {
        let start = text.count
        var isJSON = true
        scratch.removeAll()
        if case .string(let bytes) = found.value {
            isJSON = false
            scratch.appendSanitised(bytes)
        } else if !json.appendValue(found.value, to: &scratch) {
            // Too much for JSON columns: it cannot stand in `attributes` either.
            return text.append(withoutBracket ? "null]" : "null")
        }
        scratch.withBytes { text.append(withoutBracket ? WireBytes(rebasing: $0[1...]) : $0) }
        let position = characters(columnStart..<start)
        moved.append(
            MovedText(
                attribute: found.attribute, side: .input,
                form: .part(start: position + 1, count: characters(start..<text.count), before: withoutBracket, isJSON: isJSON)))
    }

    /// How many characters the bytes are: those that continue one are not counted.
    private func characters(_ range: Range<Int>) -> Int {
        text.withBytes { bytes in
            var count = 0
            for byte in bytes[range] where byte & 0xC0 != 0x80 { count += 1 }
            return count
        }
    }

    private static func isJSON(_ value: AnyValueView) -> Bool {
        guard case .string(let bytes) = value else { return true }
        var scanner = JSONScanner(bytes)
        do throws(JSONScanError) {
            try scanner.skip()
            try scanner.finish()
            return true
        } catch {
            return false
        }
    }

    /// Whether the value is an array that has elements, and as text begins with its bracket.
    private static func isArray(_ value: AnyValueView) -> Bool {
        switch value {
        case .string(let bytes):
            guard bytes.first == UInt8(ascii: "["), isJSON(value) else { return false }
            var scanner = JSONScanner(bytes)
            do throws(JSONScanError) {
                _ = try scanner.value()
                return try scanner.nextElement()
            } catch {
                return false
            }
        case .array(var elements): return elements.next() != nil
        case .absent, .bool, .int, .double, .keyValueList, .bytes: return false
        }
    }

    /// An array in the order of the numbers: of texts, or of objects.
    private mutating func gathered(_ side: FoundContent, _ json: inout AttributeJSON) {
        // Encoders write them in order; stable, so that a message's members keep theirs.
        let isSorted = zip(side.entries, side.entries.dropFirst()).allSatisfy { $0.key.number <= $1.key.number }
        let entries =
            isSorted
            ? side.entries
            : side.entries.sorted {
                ($0.key.number, $0.attribute) < ($1.key.number, $1.attribute)
            }
        keys.startOver()
        let isTexts = side.source.isTextPerNumber
        var place = -1
        var number = -1
        var object: UInt32 = 0
        text.append("[")
        for entry in entries {
            let isNext = entry.key.number != number || isTexts
            if isNext {
                if place >= 0 { text.append(isTexts ? "," : "},") }
                if !isTexts { text.append("{") }
                place += 1
                number = entry.key.number
                object = keys.openObject()
            } else {
                text.append(",")
            }
            var isNew = true
            if !isTexts {
                let keyStart = text.count
                text.appendJSONString(entry.key.member, nul: .replace)
                let keyCount = text.count - keyStart
                isNew = text.withBytes { bytes in
                    bytes.baseAddress.map { keys.insert(object: object, start: keyStart, count: keyCount, in: $0) } ?? true
                }
                text.append(":")
            }
            if !json.appendValue(entry.value, to: &text) { text.append("null") }
            // Of a repeated member the first is the one that is found.
            if case .string(let bytes) = entry.value, bytes.count >= Self.movedBytesMin, isNew {
                moved.append(
                    MovedText(attribute: entry.attribute, side: side.side, form: .element(place, member: entry.key.member)))
            }
        }
        text.append(isTexts ? "]" : "}]")
    }

    /// An array of the events that carry messages, as objects of their attributes. The events stay where they are.
    private mutating func events(_ span: SpanView, _ side: GenAIContentSource.Side, _ json: inout AttributeJSON) {
        let start = text.count
        for index in 0..<span.eventCount {
            let event = span.event(at: index)
            let role = side == .input ? GenAIMessageEvent.role(event.name) : nil
            guard role != nil || side == .output && GenAIMessageEvent.isOutput(event.name) else { continue }
            text.append(text.count == start ? "[" : ",")
            scratch.removeAll()
            if !json.appendAttributes(event.attributes, to: &scratch) { scratch.append("{}") }
            guard let role, event.attributes.first("role") == nil else {
                scratch.withBytes { text.append($0) }
                continue
            }
            text.append(#"{"role":""#)
            text.append(role)
            text.append(scratch.count == 2 ? "\"" : "\",")
            scratch.withBytes { text.append(WireBytes(rebasing: $0[1...])) }
        }
        if text.count > start { text.append("]") }
    }

    /// The text in at most `limit` bytes, cut at a character's end, and a marker that tells how many bytes are missing.
    private mutating func cut(_ content: Text, to limit: Int) -> Text {
        guard limit > 0 else { return content }
        let length = length(content)
        guard length > limit else { return content }
        let start: Int
        switch content {
        case .none: return .none
        case .span(let bytes):
            start = text.count
            text.appendColumnText(bytes, bytesMax: limit)
        case .built(let range):
            start = range.lowerBound
            let end = text.withBytes { bytes in
                var end = start + limit
                while end > start, bytes[end] & 0xC0 == 0x80 { end -= 1 }
                return end
            }
            text.truncate(to: end)
        }
        let missing = length - (text.count - start)
        text.append("…[")
        text.appendDecimal(UInt64(max(0, missing)))
        text.append(" bytes cut]")
        return .built(start..<text.count)
    }
}
