import OTLPWire
import Pipeline

/// The columns of `traces` that are numbers of one span; texts and ids are read from `span`, attributes, events and links
/// written by `AttributeJSON`, what belongs to the resource by `ResourceRow`. Trivial: making one allocates nothing.
///
/// Contract: database documentation, table `traces`.
struct SpanRow {
    let span: SpanView
    /// Column `ts`, Unix microseconds: the span's start, or its arrival when the start is not believed.
    let timestampMicroseconds: Int64
    /// Whether `ts` is the arrival time instead of the start.
    let isTimestampReplaced: Bool
    /// Exact start and duration modulo 2^64: times from 2262 on come out negative, and `start &+ duration` is always the end.
    let startUnixNano: Int64
    let durationNano: Int64
    /// End minus start, which averages and histograms read: 0 when the end is before the start or either time is missing.
    let durationMilliseconds: Double
    let adjustedCount: Double
    /// What an LLM call adds; nil for all other spans.
    var genAI: GenAIColumns?

    @inline(__always)
    init(_ reference: SpanReference, window: TimestampWindow) {
        span = reference.span
        let start = span.startTimeUnixNano
        let end = span.endTimeUnixNano
        isTimestampReplaced = !window.contains(start, arrival: reference.receivedUnixNano)
        timestampMicroseconds = Int64((isTimestampReplaced ? reference.receivedUnixNano : start) / 1_000)
        startUnixNano = Int64(bitPattern: start)
        durationNano = Int64(bitPattern: end &- start)
        durationMilliseconds = start == 0 || end < start ? 0 : Double(end - start) / 1e6
        adjustedCount = reference.adjustedCount.isFinite ? reference.adjustedCount : 1
    }
}

/// Columns that only some spans fill: those of LLM calls, and the user and session of any span. Null where nil.
/// Text is as sent; writers sanitise and cut it (`RowLimits`). Where it lies: `ContentColumns`.
struct GenAIColumns {
    var provider: WireBytes?
    var model: WireBytes?
    var operation: WireBytes?
    var userID: WireBytes?
    var sessionID: WireBytes?
    var promptTokens: Int64?
    var completionTokens: Int64?
    var totalTokens: Int64?
    var cachedTokens: Int64?
    var cacheWriteTokens: Int64?
    var reasoningTokens: Int64?
    var promptCostUSD: Double?
    var completionCostUSD: Double?
    var totalCostUSD: Double?
    var timeToFirstTokenMilliseconds: Double?
    var finishReason: WireBytes?
    var input: WireBytes?
    var output: WireBytes?
}

/// OTLP's enumerations as the texts that the columns hold. A number without a name is written as that number, so that it
/// can be told what was sent.
enum SpanText {
    @inline(__always)
    static func kind(_ kind: Int32) -> StaticString? {
        switch kind {
        case 0: "UNSPECIFIED"
        case 1: "INTERNAL"
        case 2: "SERVER"
        case 3: "CLIENT"
        case 4: "PRODUCER"
        case 5: "CONSUMER"
        default: nil
        }
    }

    @inline(__always)
    static func status(_ code: Int32) -> StaticString? {
        switch code {
        case 0: "UNSET"
        case 1: "OK"
        case 2: "ERROR"
        default: nil
        }
    }
}

extension OutputBuffer {
    /// Column `kind`.
    @inline(__always)
    mutating func appendKind(_ kind: Int32) {
        if let text = SpanText.kind(kind) { append(text) } else { appendDecimal(Int64(kind)) }
    }

    /// Column `status_code`.
    @inline(__always)
    mutating func appendStatus(_ code: Int32) {
        if let text = SpanText.status(code) { append(text) } else { appendDecimal(Int64(code)) }
    }

    /// Text for a column: sanitised, and cut at a character's end so that it takes at most `bytesMax`.
    mutating func appendColumnText(_ text: WireBytes, bytesMax: Int) {
        let start = count
        // A few bytes more than fit: the character that the slice may have split is cut off again below.
        let longestCharacterBytes = 4
        appendSanitised(WireBytes(rebasing: text.prefix(bytesMax + longestCharacterBytes)))
        guard count - start > bytesMax else { return }
        let end = withBytes { bytes in
            var end = start + bytesMax
            while end > start, bytes[end] & 0xC0 == 0x80 { end -= 1 }
            return end
        }
        truncate(to: end)
    }
}
