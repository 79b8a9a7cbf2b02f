/// What was found out about a span as an LLM call: the columns of the GenAI contract that are numbers or short names. It lies
/// in the batch's arena beside the span, which stays as it was sent.
///
/// User, session, prompt and answer are named here but not held: exporters read them from the span when they write it, so
/// that they hold what stages in between (redaction) made of them.
public struct GenAIRecord: BitwiseCopyable {
    /// An absent count, so that a record is plain memory.
    private static let noCount: Int64 = -1

    /// Whether the span is a call of a model. If not, only user and session are set.
    public var isCall = false
    /// Exporters cut input and output to this many bytes; 0 = not.
    public var contentBytesMax: UInt32 = 0
    public var userSource = GenAIUserSource.none
    public var sessionSource = GenAISessionSource.none
    public var inputSource = GenAIContentSource.none
    public var outputSource = GenAIContentSource.none

    /// Null when the base address is nil. In the batch's arena, or static.
    public var provider = WireBytes(start: nil, count: 0)
    public var model = WireBytes(start: nil, count: 0)
    public var operation = WireBytes(start: nil, count: 0)
    public var finishReason = WireBytes(start: nil, count: 0)
    /// The provider's id of the answer: two spans with the same one tell of the same call.
    public var responseID = WireBytes(start: nil, count: 0)

    private var prompt = noCount
    private var completion = noCount
    private var total = noCount
    private var cached = noCount
    private var cacheWrite = noCount
    private var reasoning = noCount
    private var promptCost = Double.nan
    private var completionCost = Double.nan
    private var totalCost = Double.nan
    private var firstToken = Double.nan

    public init() {}

    public var promptTokens: Int64? {
        get { Self.count(prompt) }
        set { prompt = newValue ?? Self.noCount }
    }
    public var completionTokens: Int64? {
        get { Self.count(completion) }
        set { completion = newValue ?? Self.noCount }
    }
    public var totalTokens: Int64? {
        get { Self.count(total) }
        set { total = newValue ?? Self.noCount }
    }
    public var cachedTokens: Int64? {
        get { Self.count(cached) }
        set { cached = newValue ?? Self.noCount }
    }
    public var cacheWriteTokens: Int64? {
        get { Self.count(cacheWrite) }
        set { cacheWrite = newValue ?? Self.noCount }
    }
    public var reasoningTokens: Int64? {
        get { Self.count(reasoning) }
        set { reasoning = newValue ?? Self.noCount }
    }
    public var promptCostUSD: Double? {
        get { Self.amount(promptCost) }
        set { promptCost = newValue ?? .nan }
    }
    public var completionCostUSD: Double? {
        get { Self.amount(completionCost) }
        set { completionCost = newValue ?? .nan }
    }
    public var totalCostUSD: Double? {
        get { Self.amount(totalCost) }
        set { totalCost = newValue ?? .nan }
    }
    public var timeToFirstTokenMilliseconds: Double? {
        get { Self.amount(firstToken) }
        set { firstToken = newValue ?? .nan }
    }

    public var hasUsage: Bool { prompt >= 0 || completion >= 0 || total >= 0 }

    /// Takes back tokens and costs: another span tells of the same call and keeps them.
    public mutating func clearUsage() {
        (prompt, completion, total) = (Self.noCount, Self.noCount, Self.noCount)
        (cached, cacheWrite, reasoning) = (Self.noCount, Self.noCount, Self.noCount)
        (promptCost, completionCost, totalCost) = (.nan, .nan, .nan)
    }

    @inline(__always)
    private static func count(_ value: Int64) -> Int64? { value < 0 ? nil : value }

    @inline(__always)
    private static func amount(_ value: Double) -> Double? { value.isNaN ? nil : value }
}

extension SpanView {
    /// What the GenAI stage found out; nil for most spans, and for all when there is no such stage.
    @inline(__always)
    public var genAI: GenAIRecord? { record.pointee.genAI?.pointee }
}

/// For a stage that adds to the spans of a batch: only while the batch has one owner, before it is handed on.
extension TraceBatch {
    /// Lays the record beside the span, where the caller may go on writing it; nil, with nothing changed, when the arena is at its
    /// cap.
    public func attach(_ genAI: GenAIRecord, toSpanAt index: Int) -> UnsafeMutablePointer<GenAIRecord>? {
        precondition(index >= 0 && index < spanCount)
        let span = UnsafeMutablePointer(mutating: spans) + index
        if let known = span.pointee.genAI {
            let record = UnsafeMutablePointer(mutating: known)
            record.pointee = genAI
            return record
        }
        guard let record = addToArena({ $0.allocate(GenAIRecord.self, count: 1) }) else { return nil }
        record.initialize(to: genAI)
        span.pointee.genAI = UnsafePointer(record)
        return record
    }

    /// Takes tokens and costs back from the span's record: another span, of another request, tells of the same call and keeps them.
    public func clearGenAIUsage(ofSpanAt index: Int) {
        precondition(index >= 0 && index < spanCount)
        guard let record = (spans + index).pointee.genAI else { return }
        UnsafeMutablePointer(mutating: record).pointee.clearUsage()
    }

    /// A copy of `bytes` that lives as long as the batch; nil when the arena is at its cap.
    public func keep(_ bytes: WireBytes) -> WireBytes? {
        guard bytes.count > 0, let source = bytes.baseAddress else { return WireBytes(start: nil, count: 0) }
        guard let copy = addToArena({ $0.allocate(bytes.count) }) else { return nil }
        copy.copyMemory(from: source, byteCount: bytes.count)
        return WireBytes(start: copy, count: bytes.count)
    }

    /// Leaves out the span's attributes and events for which the closures say so, and counts them as dropped. Returns how many
    /// they were; nil, with nothing changed, when the arena is at its cap.
    public func leaveOut(
        fromSpanAt index: Int, attributes isAttribute: (WireBytes) -> Bool, events isEvent: (WireBytes) -> Bool
    ) -> Int? {
        precondition(index >= 0 && index < spanCount)
        let span = UnsafeMutablePointer(mutating: spans) + index
        var changed = span.pointee
        let isDone = addToArena { arena in changed.leaveOut(attributes: isAttribute, events: isEvent, arena: arena) }
        guard let count = isDone else { return nil }
        if count > 0 { span.pointee = changed }
        return count
    }

    private func addToArena<Result>(_ body: (MessageArena) -> Result) -> Result {
        let before = arena.allocatedBytes
        defer { if arena.allocatedBytes > before { account?.charge(arena.allocatedBytes - before) } }
        return body(arena)
    }
}
