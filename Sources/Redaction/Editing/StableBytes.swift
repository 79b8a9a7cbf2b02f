import Glibc
import OTLPWire

/// Bytes of the configuration at an address that stays the same.
final class StableBytes: @unchecked Sendable {
    /// Never written after `init`; valid as long as this object.
    let bytes: WireBytes

    init(_ array: [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(array.count, 1), alignment: 1)
        memory.copyBytes(from: array)
        bytes = WireBytes(rebasing: WireBytes(memory)[..<array.count])
    }

    convenience init(_ text: String) {
        self.init(Array(text.utf8))
    }

    deinit {
        bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0).deallocate() }
    }
}

/// Memory for new values, which stay where they are until it is emptied. Used by one thread at a time.
struct ValueMemory: ~Copyable {
    /// An ordinary span's new values; larger ones get a block of their own.
    static let blockBytes = 16 * 1024

    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var used = 0

    deinit {
        for block in blocks { block.deallocate() }
    }

    /// Forgets everything; keeps one block of the usual size.
    @inline(__always)
    mutating func removeAll() {
        used = 0
        if blocks.count > 1 || blocks.first.map({ $0.count > Self.blockBytes }) == true { freeAllButOne() }
    }

    private mutating func freeAllButOne() {
        let kept = blocks.firstIndex { $0.count == Self.blockBytes }
        for index in blocks.indices where index != kept { blocks[index].deallocate() }
        blocks = kept.map { [blocks[$0]] } ?? []
    }

    mutating func copy(_ bytes: WireBytes) -> WireBytes {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return WireBytes(start: nil, count: 0) }
        if blocks.isEmpty || blocks[blocks.count - 1].count - used < bytes.count {
            blocks.append(.allocate(byteCount: max(Self.blockBytes, bytes.count), alignment: 1))
            used = 0
        }
        let block = blocks[blocks.count - 1]
        let target = UnsafeMutableRawBufferPointer(rebasing: block[used..<used + bytes.count])
        target.copyMemory(from: WireBytes(start: source, count: bytes.count))
        used += bytes.count
        return WireBytes(target)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these are the same bytes.
    @inline(__always)
    func equals(_ other: WireBytes) -> Bool {
        guard count == other.count else { return false }
        guard count > 0, let left = baseAddress, let right = other.baseAddress else { return true }
        return memcmp(left, right, count) == 0
    }
}
