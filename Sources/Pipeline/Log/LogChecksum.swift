import CISAL
import CXXHash
import OTLPWire

/// CRC-32C (Castagnoli; RFC 3720 B.4), as the checksum of everything the log writes.
enum CRC32C {
    /// - Parameter seed: result of the bytes before these, 0 for none.
    static func of(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        // The library leaves the inversion before and after to its caller, takes an int, and does not write through its pointer.
        var state = ~seed
        var rest = bytes
        while let start = rest.baseAddress, rest.count > 0 {
            let count = min(rest.count, Int(Int32.max))
            let pointer = UnsafeMutablePointer(mutating: start.assumingMemoryBound(to: UInt8.self))
            state = crc32_iscsi(pointer, Int32(count), state)
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return ~state
    }
}

/// 128 bits by which a repeated request is recognised: XXH3 under a seed that clients cannot know.
struct Fingerprint: Hashable, Sendable {
    var low: UInt64
    var high: UInt64

    init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    init(signal: LogSignal, project: UnsafeRawBufferPointer, payload: WireBytes, seed: UInt64) {
        var seed = seed &+ UInt64(signal.rawValue)
        if project.count > 0 { seed = XXH3_64bits_withSeed(project.baseAddress, project.count, seed) }
        let hash = XXH3_128bits_withSeed(payload.baseAddress, payload.count, seed)
        low = hash.low64
        high = hash.high64
    }
}
