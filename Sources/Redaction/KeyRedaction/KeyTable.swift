import OTLPWire

/// A set of attribute keys, asked once per attribute. Built of the configuration, so nobody who sends can make its chains longer.
struct KeyTable: Sendable {
    private var keys: [StableBytes] = []
    /// The keys of bucket N are those from `starts[N]` up to `starts[N + 1]`.
    private var starts: [Int32] = [0, 0]
    private var mask: UInt64 = 0

    init(_ texts: [String]) {
        let all = Set(texts).map(StableBytes.init)
        var bucketCount = 1
        while bucketCount < all.count * 2 { bucketCount *= 2 }
        mask = UInt64(bucketCount - 1)
        var buckets = Array(repeating: [StableBytes](), count: bucketCount)
        for key in all { buckets[bucket(of: key.bytes)].append(key) }
        keys = buckets.flatMap { $0 }
        starts = buckets.reduce(into: [0]) { $0.append($0[$0.count - 1] + Int32($1.count)) }
    }

    @inline(__always)
    func contains(_ key: WireBytes) -> Bool {
        let bucket = bucket(of: key)
        for index in Int(starts[bucket])..<Int(starts[bucket + 1]) where keys[index].bytes.equals(key) { return true }
        return false
    }

    /// Of the length, the first and the last eight bytes.
    @inline(__always)
    private func bucket(of key: WireBytes) -> Int {
        var first: UInt64 = 0
        var last: UInt64 = 0
        if key.count >= 8 {
            first = key.loadUnaligned(as: UInt64.self)
            last = key.loadUnaligned(fromByteOffset: key.count - 8, as: UInt64.self)
        } else {
            for byte in key { first = first << 8 | UInt64(byte) }
        }
        let mixed = (first ^ UInt64(key.count)) &* 0x9E37_79B9_7F4A_7C15 ^ (last &* 0xC2B2_AE3D_27D4_EB4F).byteSwapped
        return Int(truncatingIfNeeded: (mixed ^ mixed >> 32) & mask)
    }
}
