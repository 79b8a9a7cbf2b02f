import Glibc

/// Growing bytes with one owner, for everything that is encoded: COPY rows, JSON, protobuf.
///
/// An append is a bounds check and a store; the memory is malloc's, so growing may extend in place. What it may grow to is
/// the caller's limit: nothing here writes more than a small multiple of what it is given (6 bytes per byte of JSON text).
/// Ends the process when the system has no memory left, as Swift's own collections do.
public struct OutputBuffer: ~Copyable, @unchecked Sendable {
    /// Smallest allocation: a row of a small span fits without growing.
    static let capacityMin = 256

    private var base: UnsafeMutableRawPointer
    /// Bytes allocated.
    public private(set) var capacity: Int
    /// Bytes written.
    public private(set) var count: Int

    public init(capacity: Int = 0) {
        self.capacity = max(capacity, Self.capacityMin)
        count = 0
        base = Self.allocated(malloc(self.capacity))
    }

    deinit {
        free(base)
    }

    public var isEmpty: Bool { count == 0 }

    /// What was written, for the duration of `body`.
    @inline(__always)
    public func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (WireBytes) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(WireBytes(start: base, count: count))
    }

    /// Makes room for `bytes` more.
    @inline(__always)
    public mutating func reserve(_ bytes: Int) {
        if capacity &- count < bytes { grow(bytes) }
    }

    @inline(__always)
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        (base + count).storeBytes(of: byte, as: UInt8.self)
        count &+= 1
    }

    @inline(__always)
    public mutating func append(_ bytes: WireBytes) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        memcpy(base + count, source, bytes.count)
        count &+= bytes.count
    }

    @inline(__always)
    public mutating func append(_ text: StaticString) {
        append(WireBytes(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// For what is written once per request or less: goes through `String`. Disfavoured, so that a literal is a `StaticString`.
    @_disfavoredOverload
    public mutating func append(_ text: String) {
        for byte in text.utf8 { append(byte) }
    }

    @inline(__always)
    public mutating func appendBigEndian<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        appendRaw(value.bigEndian)
    }

    @inline(__always)
    public mutating func appendLittleEndian<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        appendRaw(value.littleEndian)
    }

    /// IEEE 754, big-endian: a `float8` of PostgreSQL's binary COPY.
    @inline(__always)
    public mutating func appendBigEndian(_ value: Double) {
        appendBigEndian(value.bitPattern)
    }

    @inline(__always)
    private mutating func appendRaw<Value: BitwiseCopyable>(_ value: Value) {
        reserve(MemoryLayout<Value>.size)
        (base + count).storeBytes(of: value, as: Value.self)
        count &+= MemoryLayout<Value>.size
    }

    /// Lets `body` write at most `bytesMax` bytes at the pointer it is given; it returns how many it wrote.
    @inline(__always)
    mutating func append(upTo bytesMax: Int, _ body: (UnsafeMutableRawPointer) -> Int) {
        reserve(bytesMax)
        let written = body(base + count)
        precondition(written >= 0 && written <= bytesMax)
        count &+= written
    }

    /// Appends `bytes` bytes to be filled in by `patch…`; returns their offset.
    @inline(__always)
    public mutating func appendGap(_ bytes: Int) -> Int {
        reserve(bytes)
        memset(base + count, 0, bytes)
        defer { count &+= bytes }
        return count
    }

    /// Overwrites what stands at `offset`, which must have been written.
    @inline(__always)
    public mutating func patchBigEndian<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
        precondition(offset >= 0 && offset <= count - MemoryLayout<Value>.size)
        (base + offset).storeBytes(of: value.bigEndian, as: Value.self)
    }

    @inline(__always)
    public mutating func patch(_ byte: UInt8, at offset: Int) {
        precondition(offset >= 0 && offset < count)
        (base + offset).storeBytes(of: byte, as: UInt8.self)
    }

    /// Moves everything from `offset` on by `distance` bytes, back or forth; what a move forth opens is undefined until written.
    mutating func shift(from offset: Int, by distance: Int) {
        precondition(offset >= 0 && offset <= count && offset + distance >= 0)
        if distance > 0 { reserve(distance) }
        memmove(base + offset + distance, base + offset, count - offset)
        count += distance
    }

    /// Puts `bytes`, which must not be this buffer's own, at `offset`, before what stands there.
    public mutating func insert(_ bytes: WireBytes, at offset: Int) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        shift(from: offset, by: bytes.count)
        memcpy(base + offset, source, bytes.count)
    }

    /// Closes the gap that removing `range` leaves.
    mutating func remove(_ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        shift(from: range.upperBound, by: -range.count)
    }

    /// Forgets what stands at `offset` and after it.
    @inline(__always)
    public mutating func truncate(to offset: Int) {
        precondition(offset >= 0 && offset <= count)
        count = offset
    }

    /// Empties the buffer. Memory of more than `keepingCapacity` bytes is given back, so that one large request does not
    /// stay in a long-lived buffer.
    public mutating func removeAll(keepingCapacity: Int = .max) {
        count = 0
        guard capacity > max(keepingCapacity, Self.capacityMin) else { return }
        free(base)
        capacity = Self.capacityMin
        base = Self.allocated(malloc(capacity))
    }

    @inline(never)
    private mutating func grow(_ bytes: Int) {
        let needed = count + bytes
        let (doubled, overflow) = capacity.multipliedReportingOverflow(by: 2)
        capacity = overflow ? needed : max(doubled, needed)
        base = Self.allocated(realloc(base, capacity))
    }

    private static func allocated(_ memory: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        guard let memory else { preconditionFailure("out of memory") }
        return memory
    }
}
