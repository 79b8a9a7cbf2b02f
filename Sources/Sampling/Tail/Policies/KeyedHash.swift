import OTLPWire

/// A fast hash with a secret seed, for tables whose keys come from clients: nobody outside can make them collide. Not
/// cryptographic. (Multiply and fold, as in wyhash.)
struct KeyedHash {
    private(set) var value: UInt64

    init(seed: UInt64) {
        value = seed ^ 0x2D35_8DCC_AA6C_78A5
    }

    @inline(__always)
    mutating func add(_ word: UInt64) {
        let product = (value ^ word).multipliedFullWidth(by: 0x8BB8_4B93_962E_ACC9)
        value = product.high ^ product.low ^ word
    }

    mutating func add(_ bytes: WireBytes) {
        add(UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            add(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest << 8 | UInt64(bytes[offset])
            offset += 1
        }
        add(rest)
    }

    mutating func add(_ value: AnyValueView?) {
        switch value {
        case .none, .absent: add(0)
        case .string(let text), .bytes(let text): add(text)
        case .int(let int): add(UInt64(bitPattern: int))
        case .bool(let bool): add(bool ? 1 : 2)
        case .double(let double): add(double.bitPattern)
        case .array, .keyValueList: add(3)
        }
    }

    /// Of a trace id.
    @inline(__always)
    static func of(_ id: TraceID, seed: UInt64) -> UInt64 {
        var hash = KeyedHash(seed: seed)
        hash.add(id.high)
        hash.add(id.low)
        return hash.value
    }

    /// Uniform in (0, 1] from 53 bits of the hash.
    static func unit(_ hash: UInt64) -> Double { Double((hash >> 11) + 1) * 0x1p-53 }
}

/// FNV-1a, 64 bits: over a salt and a trace id the hash of the Go collector's `probabilistic` policy.
enum FNV1a {
    private static let basis: UInt64 = 0xCBF2_9CE4_8422_2325
    private static let prime: UInt64 = 0x100_0000_01B3

    static func of(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(basis) { ($0 ^ UInt64($1)) &* prime } }

    /// The hash of what `hash` is of and the id's 16 bytes after it.
    static func of(_ id: TraceID, after hash: UInt64) -> UInt64 {
        var hash = hash
        for word in [id.high.bigEndian, id.low.bigEndian] {
            withUnsafeBytes(of: word) { bytes in for byte in bytes { hash = (hash ^ UInt64(byte)) &* prime } }
        }
        return hash
    }
}
