import COpenSSL

/// A hash function, or HMAC with one (RFC 2104), by OpenSSL. One object serves any number of threads.
public final class Digest: @unchecked Sendable {
    public enum Algorithm: String, Sendable {
        case md5 = "MD5"
        case sha1 = "SHA1"
        case sha256 = "SHA256"
        case sha512 = "SHA512"
        /// SHA3-256 (FIPS 202).
        case sha3 = "SHA3-256"
    }

    /// SHA-256, which every OpenSSL has.
    public static let sha256: Digest = {
        guard let made = Digest(.sha256) else { preconditionFailure("OpenSSL offers no SHA-256") }
        return made
    }()

    /// Bytes of a digest.
    public let byteCount: Int
    /// Never changed after `init`. Fetched once: OpenSSL's lookup by name costs more than the hash of a short text.
    private let method: OpaquePointer
    private let key: [UInt8]?

    /// Working memory of one thread at a time.
    public final class Workspace {
        fileprivate let context: OpaquePointer

        public init() {
            guard let made = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
            context = made
        }

        deinit {
            EVP_MD_CTX_free(context)
        }
    }

    /// Nil when this system's OpenSSL does not offer the algorithm, as MD5 in FIPS mode.
    /// - Parameter key: makes it an HMAC; at most `Int32.max` bytes.
    public init?(_ algorithm: Algorithm, key: [UInt8]? = nil) {
        guard let found = EVP_MD_fetch(nil, algorithm.rawValue, nil) else { return nil }
        method = found
        byteCount = Int(EVP_MD_get_size(found))
        self.key = key
    }

    deinit {
        EVP_MD_free(method)
    }

    /// Calls `body` with the digest of `message`, of `byteCount` bytes.
    public func withDigest<Result>(
        of message: UnsafeRawBufferPointer, _ workspace: Workspace, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(EVP_MAX_MD_SIZE)) { digest in
            var written: UInt32 = 0
            let isMade: Bool
            if let key {
                let bytes = message.baseAddress?.assumingMemoryBound(to: UInt8.self)
                isMade = HMAC(method, key, Int32(key.count), bytes, message.count, digest.baseAddress, &written) != nil
            } else {
                isMade =
                    EVP_DigestInit_ex2(workspace.context, method, nil) == 1
                    && EVP_DigestUpdate(workspace.context, message.baseAddress, message.count) == 1
                    && EVP_DigestFinal_ex(workspace.context, digest.baseAddress, &written) == 1
            }
            // It fails only without memory.
            precondition(isMade && Int(written) == byteCount, "OpenSSL cannot compute a digest")
            return body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digest)[..<byteCount]))
        }
    }
}
