import COpenSSL

/// SHA-256 (FIPS 180-4) by OpenSSL.
public enum SHA256 {
    public static let byteCount = 32

    /// The 32-byte digest of `bytes`.
    public static func digest(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { digest, count in
            var written: UInt32 = 0
            let result = EVP_Digest(bytes.baseAddress, bytes.count, digest.baseAddress, &written, EVP_sha256(), nil)
            // It fails only when the library offers no SHA-256 at all, or without memory.
            precondition(result == 1 && written == UInt32(byteCount), "OpenSSL cannot compute SHA-256")
            count = byteCount
        }
    }

    /// The digest's first 64 bits, read big-endian.
    public static func prefix64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        digest(bytes).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
