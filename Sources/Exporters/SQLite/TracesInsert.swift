import OTLPWire
import Pipeline

/// Writes spans as rows of `traces`: one prepared statement, and nothing allocated per span.
///
/// Texts of a span are put into one buffer, sanitised, and bound in place. What belongs to the resource and the scope is bound
/// once per run of spans that share it, and what no span of a run has stays null without being bound again.
struct TracesInsert: ~Copyable {
    /// Rows of `resources` that spans of the batch refer to, in the order of their first appearance, since `startBatch`.
    private(set) var newResources: [ResourceRow] = []
    /// Columns of spans whose JSON exceeded `RowLimits` and was left out, since `startBatch`.
    private(set) var oversizedColumns = 0

    /// The one that the batch needs.
    private var statement: SQLiteStatement
    private let statements: Statements
    private let window: TimestampWindow
    private var text = OutputBuffer(capacity: 16 * 1_024)
    private var fields: [Field] = []
    private var json = AttributeJSON()
    private var content = ContentColumns()
    private var resources = ResourceCache()
    private var resource: UnsafeRawPointer?
    private var scope: UnsafeRawPointer?
    /// Whether the statement holds values of an LLM call, that the next span may not have.
    private var holdsGenAI = false

    /// A text column by its place in `text`.
    private struct Field {
        let column: TracesColumn
        let start: Int
        let count: Int
    }

    private struct Statements {
        let insertAll: SQLiteStatement
        let insertMissing: SQLiteStatement
        /// The number of the newest row.
        let lastRow: SQLiteStatement

        init(_ connection: SQLiteConnection) throws(SQLiteError) {
            insertAll = try SQLiteStatement(connection, TracesColumn.insertStatement)
            insertMissing = try SQLiteStatement(connection, TracesColumn.insertMissingStatement)
            lastRow = try SQLiteStatement(connection, "select coalesce(max(rowid), 0) from traces")
        }
    }

    init(_ connection: SQLiteConnection, window: TimestampWindow) throws(SQLiteError) {
        statements = try Statements(connection)
        statement = statements.insertAll
        self.window = window
        fields.reserveCapacity(TracesColumn.allCases.count)
    }

    /// - Parameter onlyMissing: the table may hold some of the batch's spans already. The transaction must have begun.
    mutating func startBatch(onlyMissing: Bool) throws(SQLiteError) {
        statement = onlyMissing ? statements.insertMissing : statements.insertAll
        if onlyMissing {
            _ = try statements.lastRow.step()
            let last = statements.lastRow.integer(0)
            statements.lastRow.reset()
            try statement.bind(TracesColumn.lastRowParameter, last)
        }
        newResources = []
        oversizedColumns = 0
        // Places in memory name resources and scopes only as long as their request is held.
        resource = nil
        scope = nil
    }

    /// Leaves nothing bound that points into the batch.
    mutating func endBatch() {
        statement.clearBindings()
        holdsGenAI = false
        text.removeAll(keepingCapacity: SQLiteLimits.textKeptBytes)
    }

    /// Inserts one span. After an error that `isAboutData`, the next span can be inserted as if this one had not been.
    mutating func insert(_ reference: SpanReference) throws(SQLiteError) {
        var row = SpanRow(reference, window: window)
        row.genAI = content.read(row.span, json: &json)
        try insert(row, reference)
    }

    mutating func insert(_ row: SpanRow, _ reference: SpanReference) throws(SQLiteError) {
        let span = row.span
        if resource != span.resource.identity { try bindResource(span.resource) }
        if scope != span.scopeIdentity { try bindScope(span.scope) }
        text.removeAll(keepingCapacity: SQLiteLimits.textKeptBytes)
        fields.removeAll(keepingCapacity: true)
        try bindNumbers(row)
        try appendTexts(row)
        try reference.withTraceState { (state) throws(SQLiteError) in
            try append(.traceState, state, bytesMax: RowLimits.textBytesMax)
        }
        try appendJSON(span)
        try append(.samplingReason, reference.decision?.reason)
        if let genAI = row.genAI {
            holdsGenAI = true
            try bindGenAI(genAI)
        } else if holdsGenAI {
            for column in TracesColumn.genAI { try statement.bindNull(column.rawValue) }
            holdsGenAI = false
        }
        try bindTexts()
        try statement.run()
    }

    private mutating func bindResource(_ view: ResourceView) throws(SQLiteError) {
        let row = resources.row(of: view, json: &json)
        try statement.bind(TracesColumn.projectID.rawValue, copyOf: row.projectID)
        try statement.bind(TracesColumn.serviceName.rawValue, copyOf: row.serviceName)
        try statement.bind(TracesColumn.resourceID.rawValue, row.id)
        newResources.append(row)
        resource = view.identity
    }

    private mutating func bindScope(_ view: ScopeView) throws(SQLiteError) {
        for (column, value) in [(TracesColumn.scopeName, view.name), (.scopeVersion, view.version)] {
            text.removeAll()
            text.appendColumnText(value, bytesMax: RowLimits.textBytesMax)
            if text.isEmpty {
                try statement.bindNull(column.rawValue)
            } else {
                try statement.bind(column.rawValue, copyOf: text.withBytes { Array($0) })
            }
        }
        scope = view.identity
    }

    @inline(__always)
    private func bindNumbers(_ row: borrowing SpanRow) throws(SQLiteError) {
        try statement.bind(TracesColumn.durationMS.rawValue, row.durationMilliseconds)
        try statement.bind(TracesColumn.adjustedCount.rawValue, row.adjustedCount)
        try statement.bind(TracesColumn.flags.rawValue, Int64(row.span.flags))
        try statement.bind(TracesColumn.startUnixNano.rawValue, row.startUnixNano)
        try statement.bind(TracesColumn.durationNano.rawValue, row.durationNano)
    }

    private mutating func appendTexts(_ row: borrowing SpanRow) throws(SQLiteError) {
        let span = row.span
        var start = text.count
        TimestampText.append(microseconds: row.timestampMicroseconds, to: &text)
        add(.ts, from: start)
        let traceID = span.traceID
        start = text.count
        text.appendHexWord(traceID.high)
        text.appendHexWord(traceID.low)
        add(.traceID, from: start)
        start = text.count
        text.appendHexWord(span.spanID.word)
        add(.spanID, from: start)
        if let parent = span.parentSpanID {
            start = text.count
            text.appendHexWord(parent.word)
            add(.parentSpanID, from: start)
        } else {
            try statement.bindNull(TracesColumn.parentSpanID.rawValue)
        }
        start = text.count
        text.appendColumnText(span.name, bytesMax: RowLimits.textBytesMax)
        add(.name, from: start)
        start = text.count
        text.appendKind(span.kind)
        add(.kind, from: start)
        let status = span.status
        start = text.count
        text.appendStatus(status.code)
        add(.statusCode, from: start)
        try append(.statusMessage, status.message, bytesMax: RowLimits.textBytesMax)
    }

    /// attributes, events, links, and how many the sender dropped. What exceeds `RowLimits` is left out and counts as dropped.
    private mutating func appendJSON(_ span: SpanView) throws(SQLiteError) {
        var start = text.count
        var dropped = span.droppedAttributesCount
        if !json.appendAttributes(span.attributes, moved: content.moved, to: &text) {
            text.append("{}")
            leftOut(span.attributeCount, &dropped)
        }
        add(.attributes, from: start)
        try statement.bind(TracesColumn.droppedAttributes.rawValue, Int64(dropped))

        start = text.count
        dropped = span.droppedEventsCount
        if span.eventCount > 0, json.appendEvents(of: span, to: &text) {
            add(.events, from: start)
        } else {
            try statement.bindNull(TracesColumn.events.rawValue)
            if span.eventCount > 0 { leftOut(span.eventCount, &dropped) }
        }
        try statement.bind(TracesColumn.droppedEvents.rawValue, Int64(dropped))

        start = text.count
        dropped = span.droppedLinksCount
        if span.linkCount > 0, json.appendLinks(of: span, to: &text) {
            add(.links, from: start)
        } else {
            try statement.bindNull(TracesColumn.links.rawValue)
            if span.linkCount > 0 { leftOut(span.linkCount, &dropped) }
        }
        try statement.bind(TracesColumn.droppedLinks.rawValue, Int64(dropped))
    }

    private mutating func leftOut(_ count: Int, _ dropped: inout UInt32) {
        dropped = UInt32(clamping: UInt64(dropped) + UInt64(count))
        oversizedColumns += 1
    }

    private mutating func bindGenAI(_ columns: GenAIColumns) throws(SQLiteError) {
        try append(.provider, columns.provider, bytesMax: RowLimits.segmentTextBytesMax)
        try append(.model, columns.model, bytesMax: RowLimits.segmentTextBytesMax)
        try append(.operation, columns.operation, bytesMax: RowLimits.indexedTextBytesMax)
        try append(.userID, columns.userID, bytesMax: RowLimits.indexedTextBytesMax)
        try append(.sessionID, columns.sessionID, bytesMax: RowLimits.indexedTextBytesMax)
        try bind(.promptTokens, columns.promptTokens)
        try bind(.completionTokens, columns.completionTokens)
        try bind(.totalTokens, columns.totalTokens)
        try bind(.cachedTokens, columns.cachedTokens)
        try bind(.cacheWriteTokens, columns.cacheWriteTokens)
        try bind(.reasoningTokens, columns.reasoningTokens)
        try bind(.promptCostUSD, columns.promptCostUSD)
        try bind(.completionCostUSD, columns.completionCostUSD)
        try bind(.totalCostUSD, columns.totalCostUSD)
        try bind(.ttftMS, columns.timeToFirstTokenMilliseconds)
        try append(.finishReason, columns.finishReason, bytesMax: RowLimits.indexedTextBytesMax)
        try append(.input, columns.input, bytesMax: RowLimits.textBytesMax)
        try append(.output, columns.output, bytesMax: RowLimits.textBytesMax)
    }

    // MARK: Values

    @inline(__always)
    private mutating func add(_ column: TracesColumn, from start: Int) {
        fields.append(Field(column: column, start: start, count: text.count - start))
    }

    /// Text that is null when it is absent or empty.
    private mutating func append(_ column: TracesColumn, _ value: WireBytes?, bytesMax: Int) throws(SQLiteError) {
        guard let value, value.count > 0 else { return try statement.bindNull(column.rawValue) }
        let start = text.count
        text.appendColumnText(value, bytesMax: bytesMax)
        add(column, from: start)
    }

    private mutating func append(_ column: TracesColumn, _ value: String?) throws(SQLiteError) {
        guard let value, !value.isEmpty else { return try statement.bindNull(column.rawValue) }
        let start = text.count
        text.append(value)
        add(column, from: start)
    }

    private func bind(_ column: TracesColumn, _ value: Int64?) throws(SQLiteError) {
        if let value { try statement.bind(column.rawValue, value) } else { try statement.bindNull(column.rawValue) }
    }

    private func bind(_ column: TracesColumn, _ value: Double?) throws(SQLiteError) {
        if let value { try statement.bind(column.rawValue, value) } else { try statement.bindNull(column.rawValue) }
    }

    /// Binds the texts that were added; the buffer must not change until the statement has run.
    private func bindTexts() throws(SQLiteError) {
        try text.withBytes { (bytes) throws(SQLiteError) in
            for field in fields {
                let slice = WireBytes(rebasing: bytes[field.start..<(field.start + field.count)])
                try statement.bind(field.column.rawValue, text: slice)
            }
        }
    }
}

extension OutputBuffer {
    /// 16 lower-case hexadecimal digits.
    @inline(__always)
    fileprivate mutating func appendHexWord(_ word: UInt64) {
        withUnsafeBytes(of: word.bigEndian) { appendHex($0) }
    }
}
