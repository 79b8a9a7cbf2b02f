import OTLPWire

/// Makes `GenAIColumns` of a span's GenAI record and of the span as it is now: the names and numbers were found when the span
/// came in, the texts are read here, after whatever stages changed them. Also says which attributes the texts were moved from.
///
/// Texts that are one attribute are not copied. Those that are put together lie here until the next span.
struct ContentColumns: ~Copyable {
    private var builder = ContentBuilder()

    /// Attributes whose text stands in a column, by ascending place.
    var moved: [MovedText] { builder.moved }

    /// Nil when the span has no record. The columns are valid until the next call.
    @inline(__always)
    mutating func read(_ span: SpanView, json: inout AttributeJSON) -> GenAIColumns? {
        builder.startOver()
        guard let record = span.genAI else { return nil }
        return columns(span, record, &json)
    }

    private mutating func columns(_ span: SpanView, _ record: GenAIRecord, _ json: inout AttributeJSON) -> GenAIColumns {
        var columns = GenAIColumns()
        columns.provider = Self.present(record.provider)
        columns.model = Self.present(record.model)
        columns.operation = Self.present(record.operation)
        columns.finishReason = Self.present(record.finishReason)
        columns.promptTokens = record.promptTokens
        columns.completionTokens = record.completionTokens
        columns.totalTokens = record.totalTokens
        columns.cachedTokens = record.cachedTokens
        columns.cacheWriteTokens = record.cacheWriteTokens
        columns.reasoningTokens = record.reasoningTokens
        columns.promptCostUSD = record.promptCostUSD
        columns.completionCostUSD = record.completionCostUSD
        columns.totalCostUSD = record.totalCostUSD
        columns.timeToFirstTokenMilliseconds = record.timeToFirstTokenMilliseconds

        var input = FoundContent(side: .input, source: record.inputSource)
        var output = FoundContent(side: .output, source: record.outputSource)
        var user: AnyValueView?
        var session: AnyValueView?
        find(span, record, &input, &output, &user, &session)
        let limit = Int(record.contentBytesMax)
        let userText = builder.name(user, record.userSource.members)
        let sessionText = builder.name(session, record.sessionSource.members)
        let inputText = builder.content(input, span, limit: limit, &json)
        let outputText = builder.content(output, span, limit: limit, &json)
        // What was put together is complete: nothing moves it any more.
        builder.finish()
        columns.userID = builder.bytes(userText)
        columns.sessionID = builder.bytes(sessionText)
        columns.input = builder.bytes(inputText)
        columns.output = builder.bytes(outputText)
        return columns
    }

    private static func present(_ text: WireBytes) -> WireBytes? { text.count > 0 ? text : nil }

    // MARK: Finding

    /// One pass over the attributes for all that is wanted.
    private func find(
        _ span: SpanView, _ record: GenAIRecord, _ input: inout FoundContent, _ output: inout FoundContent, _ user: inout AnyValueView?,
        _ session: inout AnyValueView?
    ) {
        let userKey = record.userSource.key
        let sessionKey = record.sessionSource.key
        let wantsInstructions = record.inputSource == .messages
        for (place, attribute) in span.attributes.enumerated() {
            let key = attribute.key
            if key.count == 0 { continue }
            if user == nil, key.matches(userKey) { user = attribute.value }
            if session == nil, key.matches(sessionKey) { session = attribute.value }
            if wantsInstructions, input.instructions == nil, key.matches(GenAIContentSource.systemInstructions) {
                input.instructions = (place, attribute.value)
            }
            Self.find(attribute, place, &input)
            Self.find(attribute, place, &output)
        }
    }

    @inline(__always)
    private static func find(_ attribute: KeyValueView, _ place: Int, _ side: inout FoundContent) {
        if let key = side.source.key(side.side) {
            if side.whole == nil, attribute.key.matches(key) { side.whole = (place, attribute.value) }
        } else if side.source.prefix(side.side) != nil, let key = GenAIIndexedKey(attribute.key, side.source, side.side) {
            side.entries.append(FoundContent.Entry(attribute: place, key: key, value: attribute.value))
        }
    }
}

/// One side's content while it is looked for.
struct FoundContent {
    /// An attribute of content that is gathered from several.
    struct Entry {
        let attribute: Int
        let key: GenAIIndexedKey
        let value: AnyValueView
    }

    let side: GenAIContentSource.Side
    let source: GenAIContentSource
    var whole: (attribute: Int, value: AnyValueView)?
    var instructions: (attribute: Int, value: AnyValueView)?
    var entries: [Entry] = []
}
