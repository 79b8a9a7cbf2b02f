import Glibc
import Synchronization

/// Header at the start of each piece of memory that a `MessageArena` owns.
struct ArenaChunk {
    var next: UnsafeMutablePointer<ArenaChunk>?
    /// With this header.
    let bytes: Int
}

/// The memory that decoded requests' arenas leave behind for the next ones.
public enum DecoderPool {
    /// Bounds the bytes that are kept.
    public static func limit(retainedBytes: Int) { ChunkPool.shared.limit(retainedBytes: retainedBytes) }
}

/// Free arena chunks of the usual size, shared by all threads: requests are decoded on event loops and freed by exporters.
///
/// Without it glibc gives the memory of each freed batch back to the system and faults it in again for the next, which costs
/// more than decoding does. One lock per chunk taken, some 60 spans, and per arena freed.
final class ChunkPool: Sendable {
    /// Size of a chunk: large enough that taking one is rare, small enough that its rest is no loss.
    static let chunkBytes = 64 * 1024
    /// Memory kept for later unless told otherwise: what an exporter frees at once when it has written a batch of 5,000 ordinary
    /// spans.
    static let retainedBytesDefault = 8 * 1024 * 1024

    static let shared = ChunkPool()

    /// Chunks that belong to the list alone, which makes it safe to hand over.
    private struct FreeList: @unchecked Sendable {
        var first: UnsafeMutablePointer<ArenaChunk>?
        var bytes = 0
        var bytesMax = ChunkPool.retainedBytesDefault
    }

    private let free = Mutex(FreeList())

    /// Bytes waiting to be used again.
    var retainedBytes: Int { free.withLock { $0.bytes } }

    /// Keeps no more than this from the next `give` on.
    func limit(retainedBytes: Int) { free.withLock { $0.bytesMax = retainedBytes } }

    /// Memory of `bytes` bytes that starts with an initialised header, or nil when the system has none.
    func take(bytes: Int) -> UnsafeMutablePointer<ArenaChunk>? {
        if bytes == Self.chunkBytes, let chunk = takePooled() { return chunk }
        guard let memory = malloc(bytes) else { return nil }
        let chunk = memory.bindMemory(to: ArenaChunk.self, capacity: 1)
        chunk.initialize(to: ArenaChunk(next: nil, bytes: bytes))
        return chunk
    }

    private func takePooled() -> UnsafeMutablePointer<ArenaChunk>? {
        let address = free.withLock { list -> UInt in
            guard let chunk = list.first else { return 0 }
            list.first = chunk.pointee.next
            list.bytes -= Self.chunkBytes
            chunk.pointee.next = nil
            return UInt(bitPattern: chunk)
        }
        return UnsafeMutablePointer(bitPattern: address)
    }

    /// Takes back a list of chunks, of which it keeps those of the usual size as far as there is room.
    func give(_ chunks: UnsafeMutablePointer<ArenaChunk>?) {
        // Most requests of a single small span have nothing to pool: no lock for those.
        var pooled: UnsafeMutablePointer<ArenaChunk>?
        var rest = chunks
        while let chunk = rest {
            rest = chunk.pointee.next
            if chunk.pointee.bytes == Self.chunkBytes {
                chunk.pointee.next = pooled
                pooled = chunk
            } else {
                Glibc.free(chunk)
            }
        }
        guard let first = pooled else { return }
        let address = UInt(bitPattern: first)
        let surplus = free.withLock { list -> UInt in
            var next = UnsafeMutablePointer<ArenaChunk>(bitPattern: address)
            while let chunk = next, list.bytes < list.bytesMax {
                next = chunk.pointee.next
                chunk.pointee.next = list.first
                list.first = chunk
                list.bytes += Self.chunkBytes
            }
            return UInt(bitPattern: next)
        }
        Self.release(UnsafeMutablePointer(bitPattern: surplus))
    }

    deinit {
        Self.release(free.withLock { $0.first })
    }

    private static func release(_ chunks: UnsafeMutablePointer<ArenaChunk>?) {
        var next = chunks
        while let chunk = next {
            next = chunk.pointee.next
            Glibc.free(chunk)
        }
    }
}
