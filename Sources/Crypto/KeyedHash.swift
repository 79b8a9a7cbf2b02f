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
        withUnsafeTemporaryAllocation(byteCount: SHA256.byteCount, alignment: 8) { digest in
            Self.finish(inner, message, digest)
            Self.finish(outer, UnsafeRawBufferPointer(digest), digest)
            return UInt64(bigEndian: digest.load(as: UInt64.self))
        }
    }

    /// These functions cannot fail: their state lies on the stack.
    @inline(__always)
    private static func finish(_ start: borrowing SHA256_CTX, _ message: UnsafeRawBufferPointer, _ digest: UnsafeMutableRawBufferPointer) {
        var context = copy start
        SHA256_Update(&context, message.baseAddress, message.count)
        SHA256_Final(digest.baseAddress?.assumingMemoryBound(to: UInt8.self), &context)
    }

    private static func keyed(_ key: [UInt8], _ pad: UInt8) -> SHA256_CTX {
        var context = SHA256_CTX()
        let block = key.map { $0 ^ pad }
        SHA256_Init(&context)
        SHA256_Update(&context, block, block.count)
        return context
    }
}
