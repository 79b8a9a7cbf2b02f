import COpenSSL

/// HMAC-SHA256 (RFC 2104, FIPS 198-1) under one key, for many short messages: the key's two blocks are hashed once.
public final class KeyedHash: @unchecked Sendable {
    /// NIST SP 800-107 asks for at least the security strength in key bytes: 128 bits.
    public static let keyBytesMin = 16
    private static let blockBytes = 64

    /// Never changed after `init`, so any number of threads may copy from them.
    private let inner: OpaquePointer
    private let outer: OpaquePointer

    /// Working memory of one thread at a time.
    public final class Workspace {
        fileprivate let context: OpaquePointer

        public init() {
            context = KeyedHash.made(EVP_MD_CTX_new())
        }

        deinit {
            EVP_MD_CTX_free(context)
        }
    }

    public init(key: [UInt8]) {
        var block = [UInt8](repeating: 0, count: Self.blockBytes)
        let short = key.count > Self.blockBytes ? key.withUnsafeBytes { SHA256.digest($0) } : key
        block.replaceSubrange(0..<short.count, with: short)
        inner = Self.keyed(block, 0x36)
        outer = Self.keyed(block, 0x5C)
    }

    deinit {
        EVP_MD_CTX_free(inner)
        EVP_MD_CTX_free(outer)
    }

    /// A key of random bytes, for one process.
    public static func random() -> KeyedHash {
        var key = [UInt8](repeating: 0, count: SHA256.byteCount)
        let result = RAND_bytes(&key, Int32(key.count))
        precondition(result == 1, "OpenSSL has no random bytes")
        return KeyedHash(key: key)
    }

    /// The HMAC's first 64 bits, read big-endian.
    public func prefix64(_ message: UnsafeRawBufferPointer, _ workspace: Workspace) -> UInt64 {
        withUnsafeTemporaryAllocation(byteCount: SHA256.byteCount, alignment: 8) { digest in
            finish(inner, message, workspace.context, digest)
            finish(outer, UnsafeRawBufferPointer(digest), workspace.context, digest)
            return UInt64(bigEndian: digest.load(as: UInt64.self))
        }
    }

    private func finish(
        _ start: OpaquePointer, _ message: UnsafeRawBufferPointer, _ context: OpaquePointer, _ digest: UnsafeMutableRawBufferPointer
    ) {
        let result =
            EVP_MD_CTX_copy_ex(context, start) & EVP_DigestUpdate(context, message.baseAddress, message.count)
            & EVP_DigestFinal_ex(context, digest.baseAddress?.assumingMemoryBound(to: UInt8.self), nil)
        // It fails only without memory.
        precondition(result == 1, "OpenSSL cannot compute SHA-256")
    }

    private static func keyed(_ key: [UInt8], _ pad: UInt8) -> OpaquePointer {
        let context = made(EVP_MD_CTX_new())
        let block = key.map { $0 ^ pad }
        let result = EVP_DigestInit_ex(context, EVP_sha256(), nil) & EVP_DigestUpdate(context, block, block.count)
        precondition(result == 1, "OpenSSL cannot compute SHA-256")
        return context
    }

    private static func made(_ context: OpaquePointer?) -> OpaquePointer {
        guard let context else { preconditionFailure("out of memory") }
        return context
    }
}
