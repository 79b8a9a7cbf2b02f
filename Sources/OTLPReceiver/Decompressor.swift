import CDeflate
import CZstd
import Glibc
import OTLPWire
import Pipeline

/// `content-encoding` and `grpc-encoding` values that a request may have.
public enum Compression: Int, Sendable, CaseIterable {
    case identity
    case gzip
    /// zlib-wrapped, as HTTP and gRPC define "deflate".
    case deflate
    case zstd

    public var name: String { "\(self)" }
}

enum DecompressionError: Error, Equatable {
    case malformed
    /// More than the allowed bytes came out.
    case tooLarge
    /// The memory budget has no room for the output.
    case noMemory
}

/// Decompresses whole requests into one reused buffer, never beyond a cap: that is the limit against bombs. One per event
/// loop; owns its libdeflate and zstd contexts.
///
/// The output size is taken from the format (gzip trailer, zstd frame header) when it is believable and doubled when it
/// turns out too small, so that a bomb costs at most twice the cap in work and nothing beyond the cap in memory.
final class Decompressor {
    /// Output buffer kept between requests, bytes; larger ones are given back after use.
    private let retainedBytesMax: Int
    /// Most that DEFLATE can expand: 258 bytes from 2 bits.
    private static let deflateRatioMax = 1032
    /// log2 of the largest zstd window accepted: the 8 MiB that RFC 8878 asks decoders to support.
    private static let zstdWindowLogMax: Int32 = 23

    private let deflate: OpaquePointer
    private let zstd: OpaquePointer
    private var buffer: UnsafeMutableRawBufferPointer
    private let budget: MemoryBudget
    /// Bytes of `buffer` that are reserved in the budget, and what the request at hand holds besides them.
    private var reservedBytes = 0
    private var heldBytes = 0

    init(budget: MemoryBudget, retainedBytesMax: Int) {
        self.budget = budget
        self.retainedBytesMax = retainedBytesMax
        guard let deflate = libdeflate_alloc_decompressor(), let zstd = ZSTD_createDCtx() else {
            preconditionFailure("no memory for the decompressors")
        }
        self.deflate = deflate
        self.zstd = zstd
        _ = ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, Self.zstdWindowLogMax)
        buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    deinit {
        libdeflate_free_decompressor(deflate)
        ZSTD_freeDCtx(zstd)
        free(buffer.baseAddress)
    }

    /// Calls `body` with the decompressed bytes, which are valid and counted in the budget during the call only.
    func withDecompressed<Result, Failure: Error>(
        _ input: WireBytes, _ compression: Compression, maxBytes: Int, _ body: (WireBytes) throws(Failure) -> Result
    ) throws(Failure) -> Swift.Result<Result, DecompressionError> {
        if compression == .identity { return .success(try body(input)) }
        heldBytes = input.count
        defer { trim() }
        let size: Int
        do throws(DecompressionError) {
            size =
                switch compression {
                case .identity: 0
                case .gzip: try inflate(input, maxBytes: maxBytes, hint: Self.gzipSize(input), libdeflate_gzip_decompress_ex)
                case .deflate: try inflate(input, maxBytes: maxBytes, hint: input.count * 4, libdeflate_zlib_decompress_ex)
                case .zstd: try unzstd(input, maxBytes: maxBytes)
                }
        } catch {
            return .failure(error)
        }
        return .success(try body(WireBytes(rebasing: UnsafeRawBufferPointer(buffer)[..<size])))
    }

    private func trim() {
        budget.release(reservedBytes)
        reservedBytes = 0
        guard buffer.count > retainedBytesMax else { return }
        free(buffer.baseAddress)
        buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// Reserves `bytes` in all and makes the buffer at least that long, keeping its content.
    private func grow(to bytes: Int) throws(DecompressionError) {
        if reservedBytes < bytes {
            switch budget.reserveWork(bytes - reservedBytes, holding: heldBytes + reservedBytes) {
            case .reserved: reservedBytes = bytes
            case .full: throw .noMemory
            case .neverFits: throw .tooLarge
            }
        }
        guard buffer.count < bytes else { return }
        guard let memory = realloc(buffer.baseAddress, bytes) else { throw .noMemory }
        buffer = UnsafeMutableRawBufferPointer(start: memory, count: bytes)
    }

    /// The last four bytes of a gzip file: its size modulo 2^32.
    private static func gzipSize(_ input: WireBytes) -> Int {
        guard input.count >= 18 else { return input.count }
        return Int(UInt32(littleEndian: input.loadUnaligned(fromByteOffset: input.count - 4, as: UInt32.self)))
    }

    private typealias InflateFunction = (
        OpaquePointer?, UnsafeRawPointer?, Int, UnsafeMutableRawPointer?, Int, UnsafeMutablePointer<Int>?, UnsafeMutablePointer<Int>?
    ) -> libdeflate_result

    /// One or more members after another, as gzip allows.
    private func inflate(_ input: WireBytes, maxBytes: Int, hint: Int, _ function: InflateFunction) throws(DecompressionError) -> Int {
        let believable = min(max(hint, 256), input.count * Self.deflateRatioMax, maxBytes)
        try grow(to: max(believable, 1))
        var consumed = 0
        var produced = 0
        repeat {
            var read = 0
            var written = 0
            let result = function(
                deflate, input.baseAddress.map { $0 + consumed }, input.count - consumed,
                buffer.baseAddress.map { $0 + produced }, min(buffer.count, maxBytes) - produced, &read, &written)
            switch result {
            case LIBDEFLATE_SUCCESS:
                consumed += read
                produced += written
                if read == 0 { throw .malformed }
            case LIBDEFLATE_INSUFFICIENT_SPACE:
                guard buffer.count < maxBytes else { throw .tooLarge }
                try grow(to: min(max(buffer.count * 2, 4096), maxBytes))
            default:
                throw .malformed
            }
        } while consumed < input.count
        return produced
    }

    private func unzstd(_ input: WireBytes, maxBytes: Int) throws(DecompressionError) -> Int {
        _ = ZSTD_DCtx_reset(zstd, ZSTD_reset_session_only)
        let declared = ZSTD_getFrameContentSize(input.baseAddress, input.count)
        if declared == UInt64(bitPattern: -2) { throw .malformed }
        if declared != UInt64(bitPattern: -1), declared > UInt64(maxBytes) { throw .tooLarge }
        // A declared size is a claim: start small and let real output earn the memory.
        try grow(to: min(maxBytes, max(4096, min(input.count * 8, 1 << 20))))
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var produced = 0
        while true {
            var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: min(buffer.count, maxBytes), pos: produced)
            let state = ZSTD_decompressStream(zstd, &output, &source)
            guard ZSTD_isError(state) == 0 else { throw .malformed }
            produced = output.pos
            if state == 0, source.pos == source.size { return produced }
            if produced == output.size {
                guard buffer.count < maxBytes else { throw .tooLarge }
                try grow(to: min(buffer.count * 2, maxBytes))
            } else if source.pos == source.size {
                throw .malformed
            }
        }
    }
}
