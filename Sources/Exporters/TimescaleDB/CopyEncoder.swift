import OTLPWire
import Pipeline

/// Encodes spans as rows of `COPY traces (…) FROM STDIN (FORMAT binary)`, one pass, no allocation per span.
///
/// Format: https://www.postgresql.org/docs/15/sql-copy.html, "Binary Format"; values as the types' binary receive functions
/// take them. Columns of the resource and the scope are encoded once per run of spans that share them. Every value is one
/// that the server accepts (`RowLimits`, sanitised text), so a row cannot be refused for its data.
struct CopyEncoder: ~Copyable {
    /// What was noticed since `begin`.
    struct Notes: Equatable {
        var rows = 0
        /// Rows whose `ts` is the arrival time.
        var replacedTimestamps = 0
        /// jsonb columns left empty because they exceeded `RowLimits`.
        var oversizeColumns = 0
        /// Smallest and largest `ts`, Unix microseconds.
        var earliest = Int64.max
        var latest = Int64.min
    }

    /// In the order of the fields below. The first five are encoded ahead of a row.
    static let columns =
        [
            "project_id", "service_name", "resource_id", "scope_name", "scope_version",
            "ts", "trace_id", "span_id", "parent_span_id", "name", "kind", "status_code", "status_message", "duration_ms",
            "adjusted_count", "sampling_reason", "trace_state", "flags", "start_unix_nano", "duration_nano",
            "attributes", "dropped_attributes", "events", "dropped_events", "links", "dropped_links",
        ] + genAIColumns

    static let genAIColumns = [
        "provider", "model", "operation", "user_id", "session_id", "prompt_tokens", "completion_tokens", "total_tokens",
        "cached_tokens", "cache_write_tokens", "reasoning_tokens", "prompt_cost_usd", "completion_cost_usd", "total_cost_usd",
        "ttft_ms", "finish_reason", "input", "output",
    ]

    private static let null = Int32(-1)
    private static let jsonbVersion: UInt8 = 1
    /// 2000-01-01, where PostgreSQL's timestamps begin, in Unix microseconds.
    static let epochMicroseconds: Int64 = 946_684_800_000_000

    private(set) var notes = Notes()
    var output = OutputBuffer(capacity: 2 * TimescaleDBLimits.copyChunkBytes)
    private let window: TimestampWindow
    private var json = AttributeJSON()
    private var content = ContentColumns()
    private var cache = ResourceCache()
    /// One row per run of equal resources, in the batch's order; and the run that is being encoded.
    private var resourceRuns: [ResourceRow] = []
    private var nextRun = 0
    private var resourceIdentity: UnsafeRawPointer?
    private var scopeIdentity: UnsafeRawPointer?
    private var resourceFields = OutputBuffer()
    private var scopeFields = OutputBuffer()
    /// The fields of a span without `GenAIColumns`.
    private var genAINulls = OutputBuffer()

    init(window: TimestampWindow) {
        self.window = window
        for _ in Self.genAIColumns { genAINulls.appendBigEndian(Self.null) }
    }

    /// Starts a batch: the file header, and the batch's resources, which must be in the database before its rows. `batch`
    /// must be held until `finish`.
    mutating func begin(_ batch: SpanBatch) -> [ResourceRow] {
        notes = Notes()
        output.removeAll(keepingCapacity: TimescaleDBLimits.copyBufferKeptBytes)
        resourceRuns.removeAll(keepingCapacity: true)
        nextRun = 0
        resourceIdentity = nil
        scopeIdentity = nil
        batch.forEach { reference in
            let resource = reference.span.resource
            if resource.identity == resourceIdentity { return }
            resourceIdentity = resource.identity
            resourceRuns.append(cache.row(of: resource, json: &json))
        }
        resourceIdentity = nil
        // Signature; flags and length of the header's extension, both zero.
        for byte: UInt8 in [0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00] { output.append(byte) }
        output.appendBigEndian(Int32(0))
        output.appendBigEndian(Int32(0))
        return resourceRuns
    }

    /// Ends the batch with the file trailer.
    mutating func finish() {
        output.appendBigEndian(Int16(-1))
    }

    /// Appends one row. Spans must come in the order of the batch given to `begin`.
    ///
    /// - Parameter genAI: columns in place of those that the span's record gives.
    @inline(__always)
    mutating func append(_ reference: SpanReference, genAI: GenAIColumns? = nil) {
        var row = SpanRow(reference, window: window)
        row.genAI = genAI ?? content.read(row.span, json: &json)
        let span = row.span
        if span.resource.identity != resourceIdentity { startResource(span.resource) }
        if scopeIdentity != span.scopeIdentity { startScope(span.scope) }
        notes.rows &+= 1
        if row.isTimestampReplaced { notes.replacedTimestamps &+= 1 }
        notes.earliest = min(notes.earliest, row.timestampMicroseconds)
        notes.latest = max(notes.latest, row.timestampMicroseconds)

        output.appendBigEndian(Int16(Self.columns.count))
        resourceFields.withBytes { output.append($0) }
        scopeFields.withBytes { output.append($0) }
        field(row.timestampMicroseconds &- Self.epochMicroseconds)
        let traceID = span.traceID
        output.appendBigEndian(Int32(16))
        output.appendBigEndian(traceID.high)
        output.appendBigEndian(traceID.low)
        field(span.spanID.word)
        if let parent = span.parentSpanID { field(parent.word) } else { output.appendBigEndian(Self.null) }
        text(span.name, nullWhenEmpty: false)
        let status = span.status
        let kindGap = output.appendGap(4)
        output.appendKind(span.kind)
        patchLength(at: kindGap)
        let statusGap = output.appendGap(4)
        output.appendStatus(status.code)
        patchLength(at: statusGap)
        text(status.message, nullWhenEmpty: true)
        field(row.durationMilliseconds.bitPattern)
        field(row.adjustedCount.bitPattern)
        reason(reference.decision?.reason)
        reference.withTraceState { text($0, nullWhenEmpty: true) }
        field(span.flags)
        field(row.startUnixNano)
        field(row.durationNano)
        appendJSONColumns(span)
        if let genAI = row.genAI { appendGenAI(genAI) } else { genAINulls.withBytes { output.append($0) } }
    }

    private mutating func startResource(_ resource: ResourceView) {
        resourceIdentity = resource.identity
        let row = resourceRuns[nextRun]
        nextRun += 1
        resourceFields.removeAll()
        for text in [row.projectID, row.serviceName] {
            resourceFields.appendBigEndian(Int32(text.count))
            text.withUnsafeBytes { resourceFields.append($0) }
        }
        resourceFields.appendBigEndian(Int32(8))
        resourceFields.appendBigEndian(row.id)
    }

    private mutating func startScope(_ scope: ScopeView) {
        scopeIdentity = scope.identity
        scopeFields.removeAll()
        for text in [scope.name, scope.version] {
            if text.count == 0 {
                scopeFields.appendBigEndian(Self.null)
                continue
            }
            let gap = scopeFields.appendGap(4)
            scopeFields.appendColumnText(text, bytesMax: RowLimits.textBytesMax)
            scopeFields.patchBigEndian(Int32(scopeFields.count - gap - 4), at: gap)
        }
    }

    /// attributes, events, links, each followed by its count of dropped ones. What is too large for jsonb is left out and
    /// counted as dropped.
    @inline(__always)
    private mutating func appendJSONColumns(_ span: SpanView) {
        var start = openJSON()
        var dropped = span.droppedAttributesCount
        if !json.appendAttributes(span.attributes, moved: content.moved, to: &output) {
            output.append("{}")
            dropped = Self.sum(dropped, span.attributeCount)
            notes.oversizeColumns &+= 1
        }
        patchLength(at: start)
        field(dropped)

        dropped = span.droppedEventsCount
        if span.eventCount == 0 {
            output.appendBigEndian(Self.null)
        } else {
            start = openJSON()
            let isWhole = json.appendEvents(of: span, to: &output)
            closeJSON(start, isWhole, span.eventCount, &dropped)
        }
        field(dropped)

        dropped = span.droppedLinksCount
        if span.linkCount == 0 {
            output.appendBigEndian(Self.null)
        } else {
            start = openJSON()
            let isWhole = json.appendLinks(of: span, to: &output)
            closeJSON(start, isWhole, span.linkCount, &dropped)
        }
        field(dropped)
    }

    @inline(__always)
    private mutating func openJSON() -> Int {
        let gap = output.appendGap(4)
        output.append(Self.jsonbVersion)
        return gap
    }

    private mutating func closeJSON(_ gap: Int, _ isWhole: Bool, _ count: Int, _ dropped: inout UInt32) {
        if isWhole { return patchLength(at: gap) }
        output.truncate(to: gap)
        output.appendBigEndian(Self.null)
        dropped = Self.sum(dropped, count)
        notes.oversizeColumns &+= 1
    }

    private static func sum(_ dropped: UInt32, _ count: Int) -> UInt32 {
        UInt32(clamping: UInt64(dropped) + UInt64(count))
    }

    // MARK: Fields

    @inline(__always)
    private mutating func field<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        output.appendBigEndian(Int32(MemoryLayout<Value>.size))
        output.appendBigEndian(value)
    }

    @inline(__always)
    private mutating func patchLength(at gap: Int) {
        output.patchBigEndian(Int32(truncatingIfNeeded: output.count - gap - 4), at: gap)
    }

    @inline(__always)
    private mutating func text(_ text: WireBytes, nullWhenEmpty: Bool, bytesMax: Int = RowLimits.textBytesMax) {
        if text.count == 0, nullWhenEmpty { return output.appendBigEndian(Self.null) }
        let gap = output.appendGap(4)
        output.appendColumnText(text, bytesMax: bytesMax)
        patchLength(at: gap)
    }

    @inline(__always)
    private mutating func reason(_ reason: String?) {
        guard var reason else { return output.appendBigEndian(Self.null) }
        reason.withUTF8 { text(WireBytes($0), nullWhenEmpty: true, bytesMax: RowLimits.indexedTextBytesMax) }
    }

    private mutating func appendGenAI(_ columns: GenAIColumns) {
        optional(columns.provider, bytesMax: RowLimits.segmentTextBytesMax)
        optional(columns.model, bytesMax: RowLimits.segmentTextBytesMax)
        optional(columns.operation, bytesMax: RowLimits.indexedTextBytesMax)
        optional(columns.userID, bytesMax: RowLimits.indexedTextBytesMax)
        optional(columns.sessionID, bytesMax: RowLimits.indexedTextBytesMax)
        let counts = [
            columns.promptTokens, columns.completionTokens, columns.totalTokens, columns.cachedTokens, columns.cacheWriteTokens,
            columns.reasoningTokens,
        ]
        for count in counts {
            if let count { field(count) } else { output.appendBigEndian(Self.null) }
        }
        let amounts = [
            columns.promptCostUSD, columns.completionCostUSD, columns.totalCostUSD, columns.timeToFirstTokenMilliseconds,
        ]
        for amount in amounts {
            if let amount { field(amount.bitPattern) } else { output.appendBigEndian(Self.null) }
        }
        optional(columns.finishReason, bytesMax: RowLimits.indexedTextBytesMax)
        optional(columns.input, bytesMax: RowLimits.textBytesMax)
        optional(columns.output, bytesMax: RowLimits.textBytesMax)
    }

    private mutating func optional(_ text: WireBytes?, bytesMax: Int) {
        guard let text else { return output.appendBigEndian(Self.null) }
        self.text(text, nullWhenEmpty: true, bytesMax: bytesMax)
    }
}
