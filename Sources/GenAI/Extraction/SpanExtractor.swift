import OTLPWire

/// Fills a `GenAIRecord` from one span: one pass over the attributes finds the known keys, then each column takes the first of
/// its keys that holds something. JSON is parsed only for what is still missing, events are read only of LLM calls.
///
/// Contract: GenAI documentation. One extractor per batch and thread; nothing is allocated per span but what a record needs.
struct SpanExtractor: ~Copyable {
    /// What is known of one span, prices apart.
    struct Found {
        var record = GenAIRecord()
        /// For finding the other span of the same call; nil base when not sent.
        var responseID = WireBytes(start: nil, count: 0)
        /// The prompt count leaves out what was read from and written to the cache.
        var excludesCached = false
    }

    private let vocabulary = Vocabulary.shared
    /// Values of known keys by their number; valid where `present` has the bit.
    private let values: UnsafeMutablePointer<AnyValueView>
    private var present: Vocabulary.Mask = 0
    private var indexed: UInt8 = 0
    private var providers: [(name: WireBytes, verdict: Providers.Verdict)] = []
    private var text = OutputBuffer()

    /// Providers whose verdict is remembered within a batch.
    private static let providersMax = 8

    init() {
        values = .allocate(capacity: AttributeKeyIndex.keysMax)
    }

    deinit {
        values.deallocate()
    }

    /// False, with `found` left in any state, when the span is no LLM call and names neither user nor session.
    @inline(__always)
    mutating func extract(_ span: SpanView, in batch: TraceBatch, into found: inout Found) -> Bool {
        let scanned = vocabulary.index.scan(span.attributes, into: values)
        present = scanned.present
        indexed = scanned.indexed
        return present == 0 && indexed == 0 ? false : find(&found, span, batch)
    }

    private mutating func find(_ found: inout Found, _ span: SpanView, _ batch: TraceBatch) -> Bool {
        found = Found()
        identify(&found.record)
        let isIdentified = found.record.userSource != .none || found.record.sessionSource != .none
        let operation = first(.operation, TolerantNumber.text)?.value
        let call = operation.flatMap(Operations.call)
        if operation != nil, call == nil { return isIdentified }
        model(&found.record, batch)
        provider(&found.record)
        if operation == nil, found.record.model.baseAddress == nil, found.record.provider.baseAddress == nil { return isIdentified }
        found.record.isCall = true
        if let call { found.record.operation = call.bytes }
        if found.record.provider.baseAddress == nil, let name = Providers.inferred(fromModel: found.record.model) {
            found.record.provider = name.bytes
        }
        tokens(&found, span)
        costs(&found.record)
        timing(&found.record, span, span.eventCount > 0 ? SpanEvents(span) : nil, batch)
        found.responseID = first(.responseID, TolerantNumber.text)?.value ?? found.responseID
        return true
    }

    // MARK: Values

    /// The first present key of the column whose value `read` takes, and its rank among them.
    @inline(__always)
    private func first<Value>(_ column: Vocabulary.Column, _ read: (AnyValueView) -> Value?) -> (value: Value, rank: Int)? {
        var left = present & vocabulary.mask(column)
        while left != 0 {
            let number = left.trailingZeroBitCount
            if let value = read(values[number]) { return (value, number - vocabulary.bit(column)) }
            left &= left - 1
        }
        return nil
    }

    /// The value of a column of one key.
    @inline(__always)
    private func value(_ column: Vocabulary.Column) -> AnyValueView? {
        present & vocabulary.mask(column) == 0 ? nil : values[vocabulary.bit(column)]
    }

    /// A member of JSON text, its escapes taken out, in the batch's memory.
    private mutating func member(_ column: Vocabulary.Column, _ members: [StaticString], _ batch: TraceBatch) -> WireBytes? {
        guard case .string(let json)? = value(column), let found = JSONMembers.text(json, members: members) else { return nil }
        if !found.hasEscapes { return found.raw }
        text.removeAll()
        found.append(to: &text)
        return text.withBytes { batch.keep($0) }
    }

    // MARK: Columns

    private func identify(_ record: inout GenAIRecord) {
        let isNamed: (AnyValueView) -> Bool? = { value in
            switch value {
            case .string(let text): text.count > 0 ? true : nil
            case .int: true
            case .absent, .bool, .double, .array, .keyValueList, .bytes: nil
            }
        }
        if let user = first(.user, isNamed) {
            // Raw value 0 is `none`; the sources follow in the order of the keys.
            record.userSource = GenAIUserSource(rawValue: UInt8(user.rank + 1)) ?? .none
        } else if hasMember(.invocationParameters, GenAIUserSource.invocationParameters.members) {
            record.userSource = .invocationParameters
        } else if hasMember(.metadata, GenAIUserSource.metadata.members) {
            record.userSource = .metadata
        }
        if let session = first(.session, isNamed) {
            record.sessionSource = GenAISessionSource(rawValue: UInt8(session.rank + 1)) ?? .none
        } else if hasMember(.metadata, GenAISessionSource.metadata.members) {
            record.sessionSource = .metadata
        }
    }

    private func hasMember(_ column: Vocabulary.Column, _ members: [StaticString]) -> Bool {
        guard case .string(let json)? = value(column) else { return false }
        return JSONMembers.text(json, members: members) != nil
    }

    private mutating func model(_ record: inout GenAIRecord, _ batch: TraceBatch) {
        record.model =
            first(.model, TolerantNumber.text)?.value ?? member(.invocationParameters, ["model"], batch) ?? record.model
    }

    private mutating func provider(_ record: inout GenAIRecord) {
        var left = present & vocabulary.mask(.provider)
        while left != 0 {
            if let name = TolerantNumber.text(values[left.trailingZeroBitCount]) {
                switch verdict(name) {
                case .known(let known): record.provider = known.bytes
                case .other: record.provider = name
                case .framework: break
                }
                if record.provider.baseAddress != nil { return }
            }
            left &= left - 1
        }
    }

    private mutating func verdict(_ name: WireBytes) -> Providers.Verdict {
        for known in providers where known.name.equals(name) { return known.verdict }
        let verdict = Providers.verdict(name)
        if providers.count < Self.providersMax { providers.append((name, verdict)) }
        return verdict
    }

    private func tokens(_ found: inout Found, _ span: SpanView) {
        let usage = UsageDetails(value(.usageDetails))
        let raw = UsageDetails(value(.rawUsage))
        let ownPrompt = first(.promptTokens, TolerantNumber.count)?.value
        let prompt = ownPrompt ?? usage?.prompt ?? first(.promptTokensLast, TolerantNumber.count)?.value
        let completion =
            first(.completionTokens, TolerantNumber.count)?.value ?? usage?.completion
            ?? first(.completionTokensLast, TolerantNumber.count)?.value
        found.record.promptTokens = prompt
        found.record.completionTokens = completion
        found.record.cachedTokens = first(.cachedTokens, TolerantNumber.count)?.value ?? usage?.cached ?? raw?.cached
        found.record.cacheWriteTokens = first(.cacheWriteTokens, TolerantNumber.count)?.value ?? usage?.cacheWrite ?? raw?.cacheWrite
        found.record.reasoningTokens = first(.reasoningTokens, TolerantNumber.count)?.value ?? usage?.reasoning
        let sent = first(.totalTokens, TolerantNumber.count)?.value
        if let prompt, let completion {
            found.record.totalTokens = prompt + completion
        } else if let prompt, Operations.isEmbedding(found.record.operation) {
            found.record.totalTokens = prompt
        } else {
            found.record.totalTokens = sent ?? prompt ?? completion
        }
        if ownPrompt == nil, usage?.prompt != nil {
            found.excludesCached = usage?.excludesCached ?? false
        } else if found.record.cachedTokens ?? 0 > 0 || found.record.cacheWriteTokens ?? 0 > 0 {
            found.excludesCached = span.scope.name.ends(with: "botocore.bedrock-runtime")
        }
    }

    /// Costs that were sent. A sent 0 for a call with tokens means that the sender does not know.
    private func costs(_ record: inout GenAIRecord) {
        let hasTokens = (record.totalTokens ?? 0) > 0
        let known: (Double?) -> Double? = { amount in
            guard let amount, amount <= GenAILimits.costMaxUSD else { return nil }
            return amount == 0 && hasTokens ? nil : amount
        }
        let details = CostDetails(value(.costDetails))
        let amount: (AnyValueView) -> Double? = { known(TolerantNumber.amount($0)) }
        record.totalCostUSD = first(.totalCost, amount)?.value ?? known(details?.total)
        guard record.totalCostUSD != nil else { return }
        record.promptCostUSD = first(.promptCost, TolerantNumber.amount)?.value ?? details?.prompt
        record.completionCostUSD = first(.completionCost, TolerantNumber.amount)?.value ?? details?.completion
    }

    private mutating func timing(_ record: inout GenAIRecord, _ span: SpanView, _ events: SpanEvents?, _ batch: TraceBatch) {
        let start = span.startTimeUnixNano
        let since: (UInt64?) -> Double? = { time in
            guard let time, start > 0, time >= start else { return nil }
            return Double(time - start) / 1e6
        }
        if let seconds = first(.timeToFirstChunk, TolerantNumber.amount)?.value {
            record.timeToFirstTokenMilliseconds = seconds * 1_000
        } else if let milliseconds = since(events?.firstTokenUnixNano) {
            record.timeToFirstTokenMilliseconds = milliseconds
        } else if let text = first(.completionStart, TolerantNumber.text)?.value, let milliseconds = since(TimeText.unixNano(text)) {
            record.timeToFirstTokenMilliseconds = milliseconds
        } else if let time = first(.serverFirstToken, TolerantNumber.amount)?.value {
            record.timeToFirstTokenMilliseconds = span.scope.name.begins(with: "strands") ? time : time * 1_000
        }
        record.finishReason =
            first(.finishReason, FinishReason.first)?.value ?? member(.observationMetadata, ["finish_reason"], batch)
            ?? events?.finishReason ?? record.finishReason
        content(&record, events)
    }

    private func content(_ record: inout GenAIRecord, _ events: SpanEvents?) {
        let whole = GenAIContentSource.wholeSources
        let isContent: (AnyValueView) -> Bool? = { value in
            switch value {
            case .absent: nil
            case .string(let text): text.count > 0 ? true : nil
            case .bool, .int, .double, .array, .keyValueList, .bytes: true
            }
        }
        let input = first(.input, isContent).map { whole[$0.rank] }
        let output = first(.output, isContent).map { whole[$0.rank] }
        record.inputSource = input ?? .none
        record.outputSource = output ?? .none
        // Gathered content stands between `prompt` and `entity`.
        if input.map({ $0.rawValue > GenAIContentSource.prompt.rawValue }) ?? true {
            if indexed & GenAIIndexedFamily.prompt != 0 {
                record.inputSource = .indexedPrompt
            } else if indexed & GenAIIndexedFamily.inputMessages != 0 {
                record.inputSource = .indexedMessages
            } else if indexed & GenAIIndexedFamily.prompts != 0 {
                record.inputSource = .indexedTexts
            } else if indexed & GenAIIndexedFamily.embeddings != 0 {
                record.inputSource = .embeddings
            } else if events?.hasInput ?? false {
                record.inputSource = .events
            }
        }
        if output.map({ $0.rawValue > GenAIContentSource.prompt.rawValue }) ?? true {
            if indexed & GenAIIndexedFamily.completion != 0 {
                record.outputSource = .indexedPrompt
            } else if indexed & GenAIIndexedFamily.outputMessages != 0 {
                record.outputSource = .indexedMessages
            } else if indexed & GenAIIndexedFamily.choices != 0 {
                record.outputSource = .indexedTexts
            } else if events?.hasOutput ?? false {
                record.outputSource = .events
            }
        }
        if record.inputSource == .none, first(.systemInstructions, isContent) != nil { record.inputSource = .instructions }
    }
}

/// The first of the reasons, which come as an array, as JSON text of one, or as a plain text.
enum FinishReason {
    static func first(_ value: AnyValueView) -> WireBytes? {
        switch value {
        case .array(var elements): return elements.next().flatMap(TolerantNumber.text)
        case .string(let text):
            guard text.first == UInt8(ascii: "[") else { return TolerantNumber.text(value) }
            return firstElement(text)
        case .absent, .bool, .int, .double, .keyValueList, .bytes: return nil
        }
    }

    private static func firstElement(_ text: WireBytes) -> WireBytes? {
        guard text.count <= JSONMembers.bytesMax else { return nil }
        var scanner = JSONScanner(text)
        do throws(JSONScanError) {
            guard case .array = try scanner.value(), try scanner.nextElement(), case .string(let reason) = try scanner.value(),
                !reason.hasEscapes, !reason.raw.isEmpty
            else { return nil }
            return reason.raw
        } catch {
            return nil
        }
    }
}
