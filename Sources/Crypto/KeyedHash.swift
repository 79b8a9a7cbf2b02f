import COpenSSL

/// HMAC-SHA256 (RFC 2104, FIPS 198-1) under one key, for many short messages: the key's two blocks are hashed once.
///
/// By OpenSSL's own SHA-256 rather than through its EVP interface, which allocates a state for each digest: 103 ns for a short
/// message against 162.
public final class KeyedHash: Sendable {
    /// NIST SP 800-107 asks for at least the security strength in key bytes: 128 bits.
    public static let keyBytesMin = 16
    private static let blockBytes = 64

    private let inner: SHA256_CTX
    private let outer: SHA256_CTX

    public init(key: [UInt8]) {
        var block = [UInt8](repeating: 0, count: Self.blockBytes)
        let short = key.count > Self.blockBytes ? key.withUnsafeBytes { SHA256.digest($0) } : key
        block.replaceSubrange(0..<short.count, with: short)
        inner = Self.keyed(block, 0x36)
        outer = Self.keyed(block, 0x5C)
    }

    /// A key of random bytes, for one process.
    public static func random() -> KeyedHash {
        var key = [UInt8](repeating: 0, count: SHA256.byteCount)
        let result = RAND_bytes(&key, Int32(key.count))
        precondition(result == 1, "OpenSSL has no random bytes")
        return KeyedHash(key: key)
    }

    /// The HMAC's first 64 bits, read big-endian.
    public func prefix64(_ message: UnsafeRawBufferPointer) -> UInt64 {
        withUnsafeTemporaryAllocation(byteCount: Self.blockBytes, alignment: 8) { block in
            guard let start = block.baseAddress else { return 0 }
            // A block of its own: a short message with its end, or the message's digest with the same.
            var context = inner
            if message.count <= Self.shortBytesMax {
                Self.fill(block, with: message)
                SHA256_Transform(&context, start)
            } else {
                SHA256_Update(&context, message.baseAddress, message.count)
                SHA256_Final(start.assumingMemoryBound(to: UInt8.self), &context)
            }
            withUnsafeBytes(of: &context.h) { state in
                // `SHA256_Final` leaves the state in the context as well.
                for word in 0..<8 {
                    block.storeBytes(
                        of: state.load(fromByteOffset: 4 * word, as: UInt32.self).bigEndian, toByteOffset: 4 * word, as: UInt32.self)
                }
            }
            Self.finish(block, bytes: SHA256.byteCount)
            context = outer
            SHA256_Transform(&context, start)
            return UInt64(context.h.0) << 32 | UInt64(context.h.1)
        }
    }

    /// So much fits into a block together with its end.
    private static let shortBytesMax = blockBytes - 9

    private static func fill(_ block: UnsafeMutableRawBufferPointer, with message: UnsafeRawBufferPointer) {
        block.copyMemory(from: message)
        finish(block, bytes: message.count)
    }

    /// FIPS 180-4, section 5.1.1: a bit, zeros, and the length in bits, of the key's block too.
    private static func finish(_ block: UnsafeMutableRawBufferPointer, bytes count: Int) {
        block[count] = 0x80
        for index in count + 1..<blockBytes - 8 { block[index] = 0 }
        block.storeBytes(of: UInt64((blockBytes + count) * 8).bigEndian, toByteOffset: blockBytes - 8, as: UInt64.self)
    }

    private static func keyed(_ key: [UInt8], _ pad: UInt8) -> SHA256_CTX {
        var context = SHA256_CTX()
        let block = key.map { $0 ^ pad }
        SHA256_Init(&context)
        SHA256_Update(&context, block, block.count)
        return context
    }
}
