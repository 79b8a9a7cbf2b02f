import Glibc

/// The bytes of one request's body, contiguous. Memory comes from and returns to a `BodyBufferPool`.
struct BodyBuffer {
    fileprivate(set) var start: UnsafeMutableRawPointer?
    fileprivate(set) var capacity = 0
    fileprivate(set) var count = 0

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }
}

/// Body buffers of one event loop, used again last in first out (the warmest in the cache first).
///
/// Memory is bounded by `HTTPLimits.pooledBodyBytesMax` and falls back on its own: what was not needed between two calls of `trim`
/// is freed.
/// Bodies in use are bounded elsewhere, by the byte budget.
final class BodyBufferPool {
    /// The smallest buffer, bytes: most bodies of one span fit.
    private static let smallest = 4096
    /// A known length is reserved exactly up to here, bytes; beyond, growth by doubling does not believe the client
    /// before its bytes are there (and realloc moves pages, not bytes, at this size).
    private static let exactReserveMax = 1024 * 1024
    /// What unused buffers may hold together, bytes.
    private let keptBytesMax: Int
    @exclusivity(unchecked) private var free: [BodyBuffer] = []
    private var freeBytes = 0
    /// The fewest free buffers since the last `trim`: that many were not needed.
    private var unneeded = 0

    init(keptBytesMax: Int) {
        self.keptBytesMax = keptBytesMax
    }

    deinit {
        for buffer in free { Glibc.free(buffer.start) }
    }

    /// Makes room for a body of `length` bytes, as far as that is believed.
    func reserve(_ length: Int, in buffer: inout BodyBuffer) {
        let wanted = min(length, Self.exactReserveMax)
        if wanted > buffer.capacity { grow(&buffer, to: wanted) }
    }

    func append(_ bytes: UnsafeRawBufferPointer, to buffer: inout BodyBuffer) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        if buffer.count + bytes.count > buffer.capacity { grow(&buffer, to: max(buffer.count + bytes.count, buffer.capacity * 2)) }
        guard let start = buffer.start else { preconditionFailure("a grown buffer has memory") }
        memcpy(start + buffer.count, source, bytes.count)
        buffer.count += bytes.count
    }

    func recycle(_ buffer: inout BodyBuffer) {
        guard buffer.start != nil else { return }
        buffer.count = 0
        if freeBytes + buffer.capacity > keptBytesMax {
            Glibc.free(buffer.start)
        } else {
            free.append(buffer)
            freeBytes += buffer.capacity
        }
        buffer = BodyBuffer()
    }

    /// Frees half of the buffers that nobody asked for since the last call. To be called now and then.
    func trim() {
        let surplus = (unneeded + 1) / 2
        for buffer in free.prefix(surplus) {
            freeBytes -= buffer.capacity
            Glibc.free(buffer.start)
        }
        free.removeFirst(surplus)
        unneeded = free.count
    }

    private func grow(_ buffer: inout BodyBuffer, to length: Int) {
        if buffer.start == nil, let kept = free.popLast() {
            freeBytes -= kept.capacity
            unneeded = min(unneeded, free.count)
            buffer = kept
            if kept.capacity >= length { return }
            // Nothing to keep: a plain free and malloc spare realloc's copy.
            Glibc.free(kept.start)
            buffer = BodyBuffer()
        }
        let capacity = max(length, Self.smallest)
        guard let start = realloc(buffer.start, capacity) else { preconditionFailure("out of memory for a request body") }
        buffer.start = start
        buffer.capacity = capacity
    }
}
