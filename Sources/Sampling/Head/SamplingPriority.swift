import OTLPWire

/// What the attribute `sampling.priority` of a span asks for (OpenTracing's convention, as the contrib reads it).
enum SamplingPriority: Sendable {
    case none
    /// Above 0.
    case keep
    /// Exactly 0.
    case drop

    static let key: StaticString = "sampling.priority"
    /// Characters of a number written as a text: far more than any that says something.
    private static let textBytesMax = 128

    init(of span: SpanView) {
        switch span.attributes.first(Self.key) {
        case .int(let value): self = value == 0 ? .drop : value > 0 ? .keep : .none
        case .double(let value): self.init(value)
        case .string(let text): self = Self.read(text)
        case nil, .absent, .bool, .bytes, .array, .keyValueList: self = .none
        }
    }

    private init(_ value: Double) {
        // NaN is neither.
        self = value == 0 ? .drop : value > 0 ? .keep : .none
    }

    private static func read(_ text: WireBytes) -> SamplingPriority {
        guard text.count <= textBytesMax, let value = Double(String(decoding: text, as: UTF8.self)) else { return .none }
        // "inf" is a number, "1e999" is none.
        let isWord = text.contains { $0 | 0x20 == UInt8(ascii: "n") }
        return value.isInfinite && !isWord ? .none : SamplingPriority(value)
    }
}
