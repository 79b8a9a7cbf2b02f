import OTLPWire

/// Tells which of the calls of a trace count, when its spans have come in several requests.
public struct CallDoubles: Sendable {
    private let repeaterScopes: [String]

    public init(_ config: GenAIConfig) {
        repeaterScopes = config.duplicateScopes
    }

    /// - Parameter spans: of LLM calls, with their records.
    /// - Returns: places of those whose tokens and costs another one tells.
    public func find(among spans: [SpanView]) -> [Int] {
        let calls = spans.map { span in
            let record = span.genAI ?? GenAIRecord()
            return DuplicateCalls.Call(span: span, model: record.model, responseID: record.responseID, hasUsage: record.hasUsage)
        }
        var doubles: [Int] = []
        var finder = DuplicateCalls(repeaterScopes: repeaterScopes)
        finder.find(calls) { doubles.append($0) }
        return doubles
    }
}

/// Finds spans that tell of the same call of a model, and decides which of them counts.
///
/// Two calls of a trace are the same when they have the same response id, or when one is the other's direct parent with the
/// same model. The one with usage counts; of two with usage the one whose scope is not a known repeater, else the parent, else
/// the first. Contract: GenAI documentation, "One call, one row that counts".
struct DuplicateCalls: ~Copyable {
    /// An LLM call of the request.
    struct Call {
        let span: SpanView
        let model: WireBytes
        let responseID: WireBytes
        let hasUsage: Bool
    }

    private let repeaters: [[UInt8]]
    /// Open addressing: 1 + the call's number, 0 = free.
    private var slots: [Int32] = []
    /// For a call that is another's double: that other. Itself when it counts.
    private var keepers: [Int] = []

    private static let multiplier = UInt64.random(in: .min ... .max) | 1

    init(repeaterScopes: [String]) {
        repeaters = repeaterScopes.map { Array($0.utf8) }
    }

    /// Calls `drop` for each call that does not count.
    mutating func find(_ calls: [Call], _ drop: (Int) -> Void) {
        guard calls.count > 1 else { return }
        keepers = Array(calls.indices)
        sameResponse(calls)
        parents(calls)
        for index in calls.indices where keepers[index] != index { drop(index) }
    }

    private mutating func sameResponse(_ calls: [Call]) {
        clearSlots(calls.count)
        for (index, call) in calls.enumerated() where call.responseID.count > 0 {
            let key = ModelKey(provider: call.responseID, model: WireBytes(start: nil, count: 0)).first
            var slot = place(key ^ call.span.traceID.low)
            while slots[slot] != 0 {
                let other = Int(slots[slot]) - 1
                if calls[other].span.traceID == call.span.traceID, calls[other].responseID.equals(call.responseID) {
                    join(other, index, calls)
                    break
                }
                slot = (slot + 1) & (slots.count - 1)
            }
            if slots[slot] == 0 { slots[slot] = Int32(truncatingIfNeeded: index + 1) }
        }
    }

    private mutating func parents(_ calls: [Call]) {
        guard calls.contains(where: { $0.span.parentSpanID != nil }) else { return }
        clearSlots(calls.count)
        for (index, call) in calls.enumerated() {
            var slot = place(call.span.spanID.word ^ call.span.traceID.low)
            while slots[slot] != 0 {
                let other = calls[Int(slots[slot]) - 1].span
                // Of spans with the same ids the first stands for all.
                if other.spanID.word == call.span.spanID.word, other.traceID == call.span.traceID { break }
                slot = (slot + 1) & (slots.count - 1)
            }
            if slots[slot] == 0 { slots[slot] = Int32(truncatingIfNeeded: index + 1) }
        }
        for (index, call) in calls.enumerated() {
            guard let parent = call.span.parentSpanID else { continue }
            var slot = place(parent.word ^ call.span.traceID.low)
            while slots[slot] != 0 {
                let other = Int(slots[slot]) - 1
                if calls[other].span.spanID.word == parent.word, calls[other].span.traceID == call.span.traceID {
                    if other != index, Self.isSameModel(calls[other].model, call.model) { join(other, index, calls) }
                    break
                }
                slot = (slot + 1) & (slots.count - 1)
            }
        }
    }

    /// Twice the calls, rounded up to a power of two.
    private mutating func clearSlots(_ count: Int) {
        let wanted = 1 << (Int.bitWidth - (count * 2).leadingZeroBitCount)
        slots = [Int32](repeating: 0, count: wanted)
    }

    private func place(_ word: UInt64) -> Int {
        let (high, low) = word.multipliedFullWidth(by: Self.multiplier)
        return Int(truncatingIfNeeded: high ^ low) & (slots.count - 1)
    }

    /// Both tell of one call; `first` is the parent, or came first.
    private mutating func join(_ first: Int, _ second: Int, _ calls: [Call]) {
        let one = keeper(first)
        let other = keeper(second)
        guard one != other else { return }
        var isFirstKept = true
        if calls[one].hasUsage != calls[other].hasUsage {
            isFirstKept = calls[one].hasUsage
        } else if isRepeater(calls[one].span), !isRepeater(calls[other].span) {
            isFirstKept = false
        }
        if isFirstKept { keepers[other] = one } else { keepers[one] = other }
    }

    private mutating func keeper(_ index: Int) -> Int {
        var index = index
        while keepers[index] != index {
            keepers[index] = keepers[keepers[index]]
            index = keepers[index]
        }
        return index
    }

    private func isRepeater(_ span: SpanView) -> Bool {
        let name = span.scope.name
        return repeaters.contains { name.elementsEqual($0) }
    }

    /// Equal, or equal but for a date or version: one side often knows only what was asked for.
    private static func isSameModel(_ one: WireBytes, _ other: WireBytes) -> Bool {
        if one.equals(other) { return true }
        guard one.count != other.count, one.count <= GenAILimits.nameBytesMax, other.count <= GenAILimits.nameBytesMax else { return false }
        let (short, long) = one.count < other.count ? (one, other) : (other, one)
        guard short.count > 0, long.starts(with: short) else { return false }
        return ModelNames.withoutSuffix(String(decoding: long, as: UTF8.self)).map { $0.utf8.elementsEqual(short) } ?? false
    }
}
