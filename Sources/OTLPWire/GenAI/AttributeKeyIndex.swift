import Glibc

/// Finds which of some known keys an attribute has: a perfect hash over the key's length and 24 of its bytes, found when the
/// index is made, and one comparison. Most attributes are none of them, so what matters is how soon those are passed over.
public struct AttributeKeyIndex: @unchecked Sendable {
    /// A set of keys, one bit each.
    public typealias Mask = UInt128

    public static let keysMax = 128
    private static let noKey: UInt8 = 0xFF
    private static let slotBits: UInt64 = 12
    public static let keyBytesMin = 7

    private let keys: UnsafeMutablePointer<WireBytes>
    private let slots: UnsafeMutablePointer<UInt8>
    private let multiplier: UInt64

    /// What one pass over a span's attributes found.
    public struct Found {
        /// Known keys; of a repeated one the first value is kept.
        public var present: Mask = 0
        /// Bits of `GenAIIndexedFamily`.
        public var indexed: UInt8 = 0
    }

    /// Keys of at least `keyBytesMin` bytes, at most `keysMax`; the index lives as long as the process.
    public init(_ texts: [StaticString]) {
        precondition(texts.count <= Self.keysMax && texts.allSatisfy { $0.utf8CodeUnitCount >= Self.keyBytesMin })
        keys = .allocate(capacity: Self.keysMax)
        for (number, text) in texts.enumerated() {
            (keys + number).initialize(to: WireBytes(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }
        slots = .allocate(capacity: 1 << Self.slotBits)
        // The same search with the same result in every process. One in three multipliers does.
        var candidate: UInt64 = 0x2545_F491_4F6C_DD1D
        while !Self.fill(slots, keys, texts.count, candidate) { candidate = candidate &* 0x5851_F42D_4C95_7F2D &+ 0x1405_7B7E_F767_814F }
        multiplier = candidate
    }

    private static func fill(
        _ slots: UnsafeMutablePointer<UInt8>, _ keys: UnsafeMutablePointer<WireBytes>, _ count: Int, _ multiplier: UInt64
    ) -> Bool {
        slots.initialize(repeating: noKey, count: 1 << slotBits)
        for number in 0..<count {
            guard let start = keys[number].baseAddress else { return true }
            let slot = slot(start, keys[number].count, multiplier)
            guard slots[slot] == noKey else { return false }
            slots[slot] = UInt8(truncatingIfNeeded: number)
        }
        return true
    }

    /// The number of the key, or nil when it is none of them.
    @inline(__always)
    public func number(of key: WireBytes) -> Int? {
        guard key.count >= Self.keyBytesMin, let start = key.baseAddress else { return nil }
        let number = slots[Self.slot(start, key.count, multiplier)]
        guard number != Self.noKey else { return nil }
        let known = keys[Int(number)]
        guard known.count == key.count, let text = known.baseAddress, Self.equal(text, start, key.count) else { return nil }
        return Int(number)
    }

    /// Whether `count` bytes are the same, at least `keyBytesMin`: word by word, the last one overlapping.
    @inline(__always)
    private static func equal(_ one: UnsafeRawPointer, _ other: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count >= 8 else { return memcmp(one, other, count) == 0 }
        var offset = 0
        while offset &+ 8 < count {
            if one.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != other.loadUnaligned(fromByteOffset: offset, as: UInt64.self) {
                return false
            }
            offset &+= 8
        }
        offset = count &- 8
        return one.loadUnaligned(fromByteOffset: offset, as: UInt64.self) == other.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// Of the first eight bytes, the last eight and eight in the middle. Keys of seven bytes are read in two overlapping halves.
    @inline(__always)
    private static func slot(_ start: UnsafeRawPointer, _ count: Int, _ multiplier: UInt64) -> Int {
        let first: UInt64
        let middle: UInt64
        let last: UInt64
        if count >= 8 {
            first = start.loadUnaligned(as: UInt64.self)
            middle = start.loadUnaligned(fromByteOffset: (count - 8) / 2 + (count - 8) / 8, as: UInt64.self)
            last = start.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        } else {
            first = UInt64(start.loadUnaligned(as: UInt32.self))
            middle = 0
            last = UInt64(start.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        }
        let mixed = (first ^ UInt64(count)) &* multiplier ^ (middle &* (multiplier | 1)).byteSwapped ^ last &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: (mixed &* multiplier) >> (64 - slotBits))
    }

    /// One pass over the attributes. The values of known keys are laid into `values` by their number, which has room for `keysMax`.
    public func scan(_ attributes: AttributesView, into values: UnsafeMutablePointer<AnyValueView>) -> Found {
        var found = Found()
        for attribute in attributes {
            let key = attribute.key
            if let number = number(of: key) {
                let bit: Mask = 1 << Mask(truncatingIfNeeded: number)
                if found.present & bit == 0 {
                    (values + number).initialize(to: attribute.value)
                    found.present |= bit
                }
            } else {
                found.indexed |= GenAIIndexedFamily.family(of: key)
            }
        }
        return found
    }
}

/// Families of keys with a number in them, as bits: which of them a span has.
public enum GenAIIndexedFamily {
    public static let prompt: UInt8 = 1, completion: UInt8 = 2, inputMessages: UInt8 = 4, outputMessages: UInt8 = 8
    public static let prompts: UInt8 = 16, choices: UInt8 = 32, embeddings: UInt8 = 64

    /// The first eight bytes of their prefixes, as a little-endian word.
    private static let genAIPrompt: UInt64 = 0x702E_6961_5F6E_6567  // gen_ai.p
    private static let genAICompletion: UInt64 = 0x632E_6961_5F6E_6567  // gen_ai.c
    private static let llmInput: UInt64 = 0x7570_6E69_2E6D_6C6C  // llm.inpu
    private static let llmOutput: UInt64 = 0x7074_756F_2E6D_6C6C  // llm.outp
    private static let llmPrompts: UInt64 = 0x6D6F_7270_2E6D_6C6C  // llm.prom
    private static let llmChoices: UInt64 = 0x696F_6863_2E6D_6C6C  // llm.choi
    private static let embedding: UInt64 = 0x6E69_6464_6562_6D65  // embeddin

    /// The shortest prefix of these, and something behind it.
    private static let bytesMin = 13

    private static func word(_ text: StaticString) -> UInt64 {
        UnsafeRawPointer(text.utf8Start).loadUnaligned(as: UInt64.self)
    }

    /// The family of a key; 0 when it has none.
    @inline(__always)
    public static func family(of key: WireBytes) -> UInt8 {
        guard key.count > bytesMin, let start = key.baseAddress else { return 0 }
        switch UInt64(littleEndian: start.loadUnaligned(as: UInt64.self)) {
        case genAIPrompt: return has(key, .indexedPrompt, .input) ? prompt : 0
        case genAICompletion: return has(key, .indexedPrompt, .output) ? completion : 0
        case llmInput: return has(key, .indexedMessages, .input) ? inputMessages : 0
        case llmOutput: return has(key, .indexedMessages, .output) ? outputMessages : 0
        case llmPrompts: return has(key, .indexedTexts, .input) ? prompts : 0
        case llmChoices: return has(key, .indexedTexts, .output) ? choices : 0
        case embedding: return has(key, .embeddings, .input) ? embeddings : 0
        default: return 0
        }
    }

    private static func has(_ key: WireBytes, _ source: GenAIContentSource, _ side: GenAIContentSource.Side) -> Bool {
        GenAIIndexedKey(key, source, side) != nil
    }
}
