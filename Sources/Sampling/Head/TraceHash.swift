import OTLPWire

/// The hash that mode `hash_seed` decides by: FNV-1a in 32 bits over the seed (little endian) and the trace id, as the contrib
/// computes it, so that both decide alike.
struct TraceHash: Sendable {
    private static let offsetBasis: UInt32 = 0x811C_9DC5
    private static let prime: UInt32 = 0x0100_0193
    /// Bits of the hash that decide.
    static let bucketBits: UInt64 = 14
    static let buckets: UInt64 = 1 << bucketBits

    /// State after the seed, which is the same for all traces.
    private let seeded: UInt32

    init(seed: UInt32) {
        seeded = Self.add(seed.littleEndian, to: Self.offsetBasis)
    }

    func hash(_ id: TraceID) -> UInt32 {
        Self.add(id.low.bigEndian, to: Self.add(id.high.bigEndian, to: seeded))
    }

    /// The hash as the randomness that `rv` tells others: comparing it with a threshold decides as comparing the low 14 bits of the
    /// hash with the share of buckets that are kept.
    ///
    /// From the top: the 14 deciding bits, reversed in order; 28 bits mixed from the other 18; the 14 deciding bits as they are.
    func randomness(of id: TraceID) -> Randomness {
        let hash = UInt64(hash(id))
        let bucket = hash & (Self.buckets - 1)
        let rest = hash >> (32 - Self.bucketBits)
        let mixed = rest ^ (rest << 10)
        return Randomness((Self.buckets - 1 - bucket) << 42 | mixed << 14 | bucket)
    }

    /// Bytes in the order in which they lie in memory.
    @inline(__always)
    private static func add<Word: FixedWidthInteger>(_ word: Word, to state: UInt32) -> UInt32 {
        var state = state
        var rest = Word(littleEndian: word)
        for _ in 0..<(Word.bitWidth / 8) {
            state = (state ^ UInt32(truncatingIfNeeded: rest & 0xFF)) &* prime
            rest >>= 8
        }
        return state
    }
}
