/// 16-byte trace id as two words in big-endian order, so that words compare as the bytes do.
public struct TraceID: Hashable, Sendable, BitwiseCopyable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Nil unless `bytes` are 16 bytes of which one is not zero (OTLP: an all-zero id is invalid).
    @inline(__always)
    public init?(_ bytes: WireBytes) {
        guard bytes.count == 16, let base = bytes.baseAddress else { return nil }
        high = UInt64(bigEndian: base.loadUnaligned(as: UInt64.self))
        low = UInt64(bigEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        if high | low == 0 { return nil }
    }
}

/// 8-byte span id as a big-endian word.
public struct SpanID: Hashable, Sendable, BitwiseCopyable {
    public var word: UInt64

    public init(word: UInt64) {
        self.word = word
    }

    /// Nil unless `bytes` are 8 bytes of which one is not zero.
    @inline(__always)
    public init?(_ bytes: WireBytes) {
        guard bytes.count == 8, let base = bytes.baseAddress else { return nil }
        word = UInt64(bigEndian: base.loadUnaligned(as: UInt64.self))
        if word == 0 { return nil }
    }
}
