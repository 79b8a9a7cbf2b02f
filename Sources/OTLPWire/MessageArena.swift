import CProtobufC
import Glibc

/// Bump allocator that owns every byte of one decoded request.
///
/// protobuf-c allocates from it (`withAllocator`), and later stages write what they derive from the request beside it.
/// Nothing is freed singly; all of it goes when the arena does. The cap turns a small hostile message that would unpack into
/// gigabytes into an allocation failure, which protobuf-c reports as a failed unpack.
///
/// Not thread-safe: one owner writes, then the owner publishes it read-only.
public final class MessageArena: @unchecked Sendable {
    /// Size of a chunk after the first. Below glibc's mmap threshold, so that chunks are recycled without system calls.
    static let chunkBytes = 64 * 1024
    static let alignment = 16

    /// protobuf-c holds a plain pointer to this; a class reference would cost reference counting per allocation.
    struct State {
        var cursor: UInt = 0
        var end: UInt = 0
        var chunks: UnsafeMutablePointer<Chunk>?
        var allocatedBytes = 0
        let capacityMax: Int
        var isExhausted = false
        /// Size of the chunk to allocate next.
        var nextChunkBytes: Int
    }

    /// Header at the start of each chunk.
    struct Chunk {
        var next: UnsafeMutablePointer<Chunk>?
    }

    private let state: UnsafeMutablePointer<State>

    /// - Parameters:
    ///   - expectedBytes: what the message is likely to need; sizes the first chunk, so that a request of one small span does
    ///     not hold 64 KiB.
    ///   - capacityMax: bytes the arena may take from the system in all.
    public init(expectedBytes: Int, capacityMax: Int) {
        state = .allocate(capacity: 1)
        let first = min(max(expectedBytes, 512) + MemoryLayout<Chunk>.size, Self.chunkBytes)
        state.initialize(to: State(capacityMax: capacityMax, nextChunkBytes: first))
    }

    deinit {
        var chunk = state.pointee.chunks
        while let current = chunk {
            chunk = current.pointee.next
            free(current)
        }
        state.deallocate()
    }

    /// Bytes taken from the system so far.
    public var allocatedBytes: Int { state.pointee.allocatedBytes }

    /// Whether an allocation failed because of `capacityMax`.
    public var isExhausted: Bool { state.pointee.isExhausted }

    /// 16-byte aligned memory that lives as long as the arena, or nil at the cap.
    public func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
        Self.allocate(state, bytes)
    }

    /// Uninitialised memory for `count` values of a trivial type, or nil at the cap.
    func allocate<Element: BitwiseCopyable>(_ type: Element.Type, count: Int) -> UnsafeMutablePointer<Element>? {
        allocate(max(count, 1) * MemoryLayout<Element>.stride)?.bindMemory(to: type, capacity: count)
    }

    func withAllocator<Result>(_ body: (UnsafeMutablePointer<ProtobufCAllocator>) -> Result) -> Result {
        var allocator = ProtobufCAllocator(alloc: arenaAllocate, free: { _, _ in }, allocator_data: UnsafeMutableRawPointer(state))
        return body(&allocator)
    }

    @inline(__always)
    fileprivate static func allocate(_ state: UnsafeMutablePointer<State>, _ bytes: Int) -> UnsafeMutableRawPointer? {
        let start = (state.pointee.cursor &+ UInt(alignment - 1)) & ~UInt(alignment - 1)
        // Both sides stay far from overflow: `bytes` is non-negative and addresses are below 2^48.
        if bytes >= 0, start &+ UInt(bytes) <= state.pointee.end, state.pointee.cursor != 0 {
            state.pointee.cursor = start &+ UInt(bytes)
            return UnsafeMutableRawPointer(bitPattern: start)
        }
        return allocateSlowly(state, bytes)
    }

    @inline(never)
    private static func allocateSlowly(_ state: UnsafeMutablePointer<State>, _ bytes: Int) -> UnsafeMutableRawPointer? {
        let needed = bytes.addingReportingOverflow(MemoryLayout<Chunk>.size + alignment)
        let size = max(state.pointee.nextChunkBytes, needed.partialValue)
        guard bytes >= 0, !needed.overflow, size <= state.pointee.capacityMax - state.pointee.allocatedBytes, let memory = malloc(size) else {
            state.pointee.isExhausted = true
            return nil
        }
        let chunk = memory.bindMemory(to: Chunk.self, capacity: 1)
        chunk.initialize(to: Chunk(next: state.pointee.chunks))
        state.pointee.chunks = chunk
        state.pointee.allocatedBytes += size
        state.pointee.nextChunkBytes = chunkBytes
        let start = (UInt(bitPattern: memory) + UInt(MemoryLayout<Chunk>.size + alignment - 1)) & ~UInt(alignment - 1)
        // A large block gets a chunk of its own; the current chunk keeps its rest if that is the larger one.
        let rest = UInt(bitPattern: memory) + UInt(size) - (start + UInt(bytes))
        if state.pointee.cursor == 0 || rest >= state.pointee.end - state.pointee.cursor {
            state.pointee.cursor = start + UInt(bytes)
            state.pointee.end = UInt(bitPattern: memory) + UInt(size)
        }
        return UnsafeMutableRawPointer(bitPattern: start)
    }
}

private func arenaAllocate(data: UnsafeMutableRawPointer?, size: Int) -> UnsafeMutableRawPointer? {
    guard let data else { return nil }
    return MessageArena.allocate(data.assumingMemoryBound(to: MessageArena.State.self), size)
}
