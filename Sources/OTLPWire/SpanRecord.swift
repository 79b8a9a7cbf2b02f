import Glibc

/// Index of one encoded `Span`: what everybody reads is decoded, the rest is where it is found. The bytes stay as they came.
///
/// Attributes, events and links are checked when the record is made (`NestedValidator`), so that every view of them reads
/// without errors. Field numbers: opentelemetry/proto/trace/v1/trace.proto of OTLP 1.11.
struct SpanRecord: BitwiseCopyable {
    /// Part of the span's message. A request has less than 4 GiB: `DecodeLimits.arenaBytesMax`.
    struct Slice: BitwiseCopyable {
        var offset: UInt32 = 0
        var count: UInt32 = 0
    }

    var scope: UnsafePointer<ScopeRecord>
    /// What the slices are in: the span's message, or what replaced parts of it.
    private var message: UnsafeRawPointer
    /// Fields number 9 in a row, with their tags: as they are in the message, or gathered when others stood between them.
    private(set) var attributesStart: UnsafeRawPointer
    private(set) var attributesBytes: UInt32 = 0
    private(set) var attributeCount: UInt32 = 0
    private(set) var eventCount: UInt32 = 0
    private(set) var linkCount: UInt32 = 0
    /// The events, then the links.
    private var children: UnsafePointer<Slice>?

    private(set) var traceID = TraceID(high: 0, low: 0)
    private(set) var spanID = SpanID(word: 0)
    /// Word 0: no parent.
    private(set) var parentSpanID = SpanID(word: 0)
    private(set) var startTimeUnixNano: UInt64 = 0
    private(set) var endTimeUnixNano: UInt64 = 0
    private var traceStateSlice = Slice()
    private var nameSlice = Slice()
    private var statusSlice = Slice()
    private(set) var kind: Int32 = 0
    private(set) var flags: UInt32 = 0
    private(set) var droppedAttributesCount: UInt32 = 0
    private(set) var droppedEventsCount: UInt32 = 0
    private(set) var droppedLinksCount: UInt32 = 0
    /// Of the message as it came.
    private(set) var encodedBytes: UInt32 = 0
    /// In the batch's arena; set by the GenAI stage.
    var genAI: UnsafePointer<GenAIRecord>?

    var traceState: WireBytes { bytes(traceStateSlice) }
    var name: WireBytes { bytes(nameSlice) }
    var status: WireBytes { bytes(statusSlice) }
    var attributes: WireBytes { WireBytes(start: attributesStart, count: Int(attributesBytes)) }
    /// Both ids are of the right length and not all zero.
    var hasValidIDs: Bool { traceID.high | traceID.low != 0 && spanID.word != 0 }

    func event(at index: Int) -> WireBytes {
        precondition(index >= 0 && index < Int(eventCount))
        return child(index)
    }

    func link(at index: Int) -> WireBytes {
        precondition(index >= 0 && index < Int(linkCount))
        return child(Int(eventCount) + index)
    }

    private func child(_ index: Int) -> WireBytes {
        guard let children else { preconditionFailure("children are indexed when there are any") }
        return bytes(children[index])
    }

    @inline(__always)
    private func bytes(_ slice: Slice) -> WireBytes {
        WireBytes(start: message + Int(slice.offset), count: Int(slice.count))
    }

    enum Failure: Error {
        case malformed(WireError)
        case arenaExhausted
    }

    /// Indexes and checks the span `encoded`, which must stay where it is. Of a repeated field the last occurrence counts, as
    /// protobuf has it. Attributes after the first `attributesMax` are dropped, counted in `excess` and added to
    /// `droppedAttributesCount`.
    init(
        _ encoded: WireBytes, scope: UnsafePointer<ScopeRecord>, arena: MessageArena, attributesMax: Int, excess: inout Int
    ) throws(Failure) {
        self.scope = scope
        message = encoded.baseAddress ?? WireReader.nowhere
        attributesStart = message
        guard encoded.count <= UInt32.max else { throw .malformed(.truncated) }
        encodedBytes = UInt32(encoded.count)
        var attributes = AttributeRun()
        do {
            try read(encoded, &attributes)
        } catch {
            throw .malformed(error)
        }
        attributeCount = attributes.count
        attributesStart = attributes.start ?? message
        attributesBytes = attributes.bytes
        if !attributes.isContiguous || attributes.count > attributesMax {
            try gatherAttributes(encoded, attributesMax: attributesMax, arena)
            excess = Int(attributes.count - attributeCount)
        }
        if eventCount > 0 || linkCount > 0 { try indexChildren(encoded, arena) }
    }

    /// Where the attributes stand, as long as nothing else stands between them.
    private struct AttributeRun {
        var start: UnsafeRawPointer?
        var bytes: UInt32 = 0
        var count: UInt32 = 0
        var isContiguous = true

        @inline(__always)
        mutating func add(from fieldStart: UnsafeRawPointer, to fieldEnd: UnsafeRawPointer) {
            if let start, start + Int(bytes) != fieldStart { isContiguous = false }
            if start == nil { start = fieldStart }
            // Cannot overflow: the fields lie in one message of at most UInt32.max bytes.
            bytes &+= UInt32(truncatingIfNeeded: fieldEnd - fieldStart)
            count &+= 1
        }
    }

    @inline(__always)
    private mutating func read(_ encoded: WireBytes, _ attributes: inout AttributeRun) throws(WireError) {
        var reader = WireReader(encoded)
        var fieldStart = reader.position
        while let field = try reader.next() {
            switch field.number {
            case OTLPField.Span.traceID: traceID = TraceID(try field.payload()) ?? TraceID(high: 0, low: 0)
            case OTLPField.Span.spanID: spanID = SpanID(try field.payload()) ?? SpanID(word: 0)
            case OTLPField.Span.parentSpanID: parentSpanID = SpanID(try field.payload()) ?? SpanID(word: 0)
            case OTLPField.Span.traceState: traceStateSlice = slice(try field.payload())
            case OTLPField.Span.name: nameSlice = slice(try field.payload())
            case OTLPField.Span.kind: kind = Int32(truncatingIfNeeded: try field.value(.varint))
            case OTLPField.Span.startTimeUnixNano: startTimeUnixNano = try field.value(.fixed64)
            case OTLPField.Span.endTimeUnixNano: endTimeUnixNano = try field.value(.fixed64)
            case OTLPField.Span.attributes:
                try NestedValidator.keyValue(try field.payload(), depth: 0)
                attributes.add(from: fieldStart, to: reader.position)
            case OTLPField.Span.droppedAttributesCount: droppedAttributesCount = UInt32(truncatingIfNeeded: try field.value(.varint))
            case OTLPField.Span.events:
                try NestedValidator.message(try field.payload(), .event)
                eventCount &+= 1
            case OTLPField.Span.droppedEventsCount: droppedEventsCount = UInt32(truncatingIfNeeded: try field.value(.varint))
            case OTLPField.Span.links:
                try NestedValidator.message(try field.payload(), .link)
                linkCount &+= 1
            case OTLPField.Span.droppedLinksCount: droppedLinksCount = UInt32(truncatingIfNeeded: try field.value(.varint))
            case OTLPField.Span.status:
                let status = try field.payload()
                try NestedValidator.message(status, .status)
                statusSlice = slice(status)
            case OTLPField.Span.flags: flags = UInt32(truncatingIfNeeded: try field.value(.fixed32))
            default: break
            }
            fieldStart = reader.position
        }
    }

    @inline(__always)
    private func slice(_ payload: WireBytes) -> Slice {
        guard let start = payload.baseAddress else { return Slice() }
        return Slice(offset: UInt32(truncatingIfNeeded: start - message), count: UInt32(truncatingIfNeeded: payload.count))
    }

    /// Copies the first `attributesMax` attribute fields into one run; rare, since encoders write a list's fields in a row.
    private mutating func gatherAttributes(_ encoded: WireBytes, attributesMax: Int, _ arena: MessageArena) throws(Failure) {
        guard let run = arena.allocate(Int(attributesBytes)) else { throw .arenaExhausted }
        var written = 0
        var kept: UInt32 = 0
        var reader = WireReader(encoded)
        var fieldStart = reader.position
        while Int(kept) < attributesMax, let field = try? reader.next() {
            if field.number == OTLPField.Span.attributes {
                memcpy(run + written, fieldStart, reader.position - fieldStart)
                written += reader.position - fieldStart
                kept += 1
            }
            fieldStart = reader.position
        }
        let dropped = attributeCount - kept
        droppedAttributesCount = UInt32(clamping: UInt64(droppedAttributesCount) + UInt64(dropped))
        attributesStart = UnsafeRawPointer(run)
        attributesBytes = UInt32(truncatingIfNeeded: written)
        attributeCount = kept
    }

    /// Removes what the closures say, by attribute key and event name, and counts it as dropped. Returns how much; nil, with nothing
    /// changed, when the arena is at its cap.
    mutating func leaveOut(attributes isAttribute: (WireBytes) -> Bool, events isEvent: (WireBytes) -> Bool, arena: MessageArena) -> Int? {
        let attributesOut = AttributesView(message: attributes, field: OTLPField.Span.attributes).reduce(0) {
            isAttribute($1.key) ? $0 + 1 : $0
        }
        let kept = (0..<Int(eventCount)).filter { !isEvent(EventView(event(at: $0)).name) }
        let eventsOut = Int(eventCount) - kept.count
        guard attributesOut + eventsOut > 0 else { return 0 }
        guard let run = arena.allocate(Int(attributesBytes)), let index = arena.allocate(Slice.self, count: kept.count + Int(linkCount))
        else { return nil }
        var written = 0
        var reader = WireReader(attributes)
        var fieldStart = reader.position
        while let field = try? reader.next() {
            if !isAttribute(KeyValueView(field.bytes).key) {
                memcpy(run + written, fieldStart, reader.position - fieldStart)
                written += reader.position - fieldStart
            }
            fieldStart = reader.position
        }
        if let children {
            for (place, event) in kept.enumerated() { (index + place).initialize(to: children[event]) }
            for link in 0..<Int(linkCount) { (index + kept.count + link).initialize(to: children[Int(eventCount) + link]) }
        }
        attributesStart = UnsafeRawPointer(run)
        attributesBytes = UInt32(truncatingIfNeeded: written)
        attributeCount -= UInt32(truncatingIfNeeded: attributesOut)
        eventCount = UInt32(truncatingIfNeeded: kept.count)
        children = UnsafePointer(index)
        droppedAttributesCount = UInt32(clamping: UInt64(droppedAttributesCount) + UInt64(attributesOut))
        droppedEventsCount = UInt32(clamping: UInt64(droppedEventsCount) + UInt64(eventsOut))
        return attributesOut + eventsOut
    }

    /// Events and links are few, but are asked for by number: an index of them costs a second look at the span's own fields.
    private mutating func indexChildren(_ encoded: WireBytes, _ arena: MessageArena) throws(Failure) {
        guard let index = arena.allocate(Slice.self, count: Int(eventCount) + Int(linkCount)) else { throw .arenaExhausted }
        var nextEvent = index
        var nextLink = index + Int(eventCount)
        var reader = WireReader(encoded)
        while let field = try? reader.next() {
            if field.number == OTLPField.Span.events {
                nextEvent.initialize(to: slice(field.bytes))
                nextEvent += 1
            } else if field.number == OTLPField.Span.links {
                nextLink.initialize(to: slice(field.bytes))
                nextLink += 1
            }
        }
        children = UnsafePointer(index)
    }
}

extension SpanRecord {
    /// Leaves the events at these indexes and no others; on failure nothing is changed. Nothing is counted as dropped: who removes
    /// events on purpose does not want to read of them.
    mutating func keepEvents(_ kept: [Int], arena: MessageArena) throws(EditError) {
        guard let index = arena.allocate(Slice.self, count: kept.count + Int(linkCount)), let children else { throw .arenaExhausted }
        for (place, event) in kept.enumerated() {
            precondition(event >= 0 && event < Int(eventCount))
            (index + place).initialize(to: children[event])
        }
        for link in 0..<Int(linkCount) { (index + kept.count + link).initialize(to: children[Int(eventCount) + link]) }
        self.children = UnsafePointer(index)
        eventCount = UInt32(truncatingIfNeeded: kept.count)
    }

    /// Puts other attributes in place: `run` are fields number 9 of a span with their tags, in the batch's arena.
    mutating func setAttributes(_ run: WireBytes, count: UInt32) {
        attributesStart = run.baseAddress ?? message
        attributesBytes = UInt32(run.count)
        attributeCount = count
    }

    /// Puts another name, status and events in place. They are copied into the arena, with the parts that stay; on failure
    /// nothing is changed.
    /// - Parameters:
    ///   - status: encoded `Status`.
    ///   - event: the encoded `Event` by index; as many as before.
    mutating func setParts(
        name: WireBytes, status: WireBytes, event: (Int) -> WireBytes, arena: MessageArena
    ) throws(EditError) {
        let parts = [traceState, name, status] + (0..<Int(eventCount)).map(event) + (0..<Int(linkCount)).map { link(at: $0) }
        let bytes = parts.reduce(0) { $0 + $1.count }
        guard bytes <= UInt32.max else { throw .arenaExhausted }
        guard let block = arena.allocate(bytes), let index = arena.allocate(Slice.self, count: parts.count - 3) else {
            throw .arenaExhausted
        }
        var offset = 0
        var slices = [Slice]()
        for part in parts {
            if let start = part.baseAddress { memcpy(block + offset, start, part.count) }
            slices.append(Slice(offset: UInt32(offset), count: UInt32(part.count)))
            offset += part.count
        }
        for (place, slice) in slices.dropFirst(3).enumerated() { (index + place).initialize(to: slice) }
        // Without attributes their start is the message's.
        message = UnsafeRawPointer(block)
        children = UnsafePointer(index)
        traceStateSlice = slices[0]
        nameSlice = slices[1]
        statusSlice = slices[2]
    }
}
