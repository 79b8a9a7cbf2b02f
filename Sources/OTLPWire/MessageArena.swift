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
    static let alignment = 16

    /// protobuf-c holds a plain pointer to this; a class reference would cost reference counting per allocation.
    struct State {
        var cursor: UInt = 0
        var end: UInt = 0
        var chunks: UnsafeMutablePointer<ArenaChunk>?
        var allocatedBytes = 0
        var capacityMax: Int
        var isExhausted = false
        /// Size of the chunk to allocate next.
        var nextChunkBytes: Int
    }

    private let state: UnsafeMutablePointer<State>

    /// - Parameters:
    ///   - expectedBytes: what the message is likely to need; sizes the first chunk, so that a request of one small span does
    ///     not hold 64 KiB.
    ///   - capacityMax: bytes the arena may take from the system in all.
    public init(expectedBytes: Int, capacityMax: Int) {
        state = .allocate(capacity: 1)
        let first = min(max(expectedBytes, 512) + MemoryLayout<ArenaChunk>.size, ChunkPool.chunkBytes)
        state.initialize(to: State(capacityMax: capacityMax, nextChunkBytes: first))
    }

    deinit {
        ChunkPool.shared.give(state.pointee.chunks)
        state.deallocate()
    }

    /// Bytes taken from the system so far.
    public var allocatedBytes: Int { state.pointee.allocatedBytes }

    /// Bytes the arena may take from the system in all.
    var capacityMax: Int { state.pointee.capacityMax }

    /// Lets the arena take so much more.
    func raiseCapacity(by bytes: Int) {
        state.pointee.capacityMax =
            state.pointee.capacityMax.addingReportingOverflow(bytes).overflow ? .max : state.pointee.capacityMax + bytes
    }

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
        let needed = bytes.addingReportingOverflow(MemoryLayout<ArenaChunk>.size + alignment)
        let size = max(state.pointee.nextChunkBytes, needed.partialValue)
        let isAllowed = bytes >= 0 && !needed.overflow && size <= state.pointee.capacityMax - state.pointee.allocatedBytes
        guard isAllowed, let chunk = ChunkPool.shared.take(bytes: size) else {
            state.pointee.isExhausted = true
            return nil
        }
        chunk.pointee.next = state.pointee.chunks
        state.pointee.chunks = chunk
        let memory = UnsafeMutableRawPointer(chunk)
        state.pointee.allocatedBytes += size
        state.pointee.nextChunkBytes = ChunkPool.chunkBytes
        let start = (UInt(bitPattern: memory) + UInt(MemoryLayout<ArenaChunk>.size + alignment - 1)) & ~UInt(alignment - 1)
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
