import OTLPWire

/// Requests of very many spans, without the time that encoding each of them takes.
enum ManySpans {
    /// - Parameters:
    ///   - trace: low word of the i-th span's trace id.
    ///   - span: the i-th span's id.
    static func batch(_ count: Int, trace: (Int) -> UInt64, span: (Int) -> UInt64) throws -> TraceBatch {
        // trace_id, span_id, parent_span_id, start and end: 1 + 1 + 16, 1 + 1 + 8, 1 + 1 + 8, 1 + 8, 1 + 8 bytes.
        let body = 18 + 10 + 10 + 9 + 9
        var spans = [UInt8](repeating: 0, count: count * (body + 2))
        spans.withUnsafeMutableBytes { bytes in
            for index in 0..<count {
                let start = index * (body + 2)
                func put(_ at: Int, _ tag: UInt8, _ length: UInt8) {
                    bytes[start + at] = tag
                    bytes[start + at + 1] = length
                }
                func put(_ at: Int, word: UInt64) { bytes.storeBytes(of: word, toByteOffset: start + at, as: UInt64.self) }
                put(0, 2 << 3 | 2, UInt8(body))
                put(2, 1 << 3 | 2, 16)
                put(4, word: UInt64(1).bigEndian)
                put(12, word: trace(index).bigEndian)
                put(20, 2 << 3 | 2, 8)
                put(22, word: span(index).bigEndian)
                put(30, 4 << 3 | 2, 8)
                put(32, word: UInt64(99).bigEndian)
                bytes[start + 40] = 7 << 3 | 1
                put(41, word: UInt64(1_700_000_000_000_000_000).littleEndian)
                bytes[start + 49] = 8 << 3 | 1
                put(50, word: UInt64(1_700_000_000_100_000_000).littleEndian)
            }
        }
        let scope = header(2, spans.count)
        let request = header(1, scope.count + spans.count) + scope + spans
        var limits = DecodeLimits()
        limits.spansMax = 2_000_000
        return try request.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1, limits: limits) }
    }

    private static func header(_ field: UInt64, _ length: Int) -> [UInt8] { Encoded().tag(field, 2).varint(UInt64(length)).bytes }
}
