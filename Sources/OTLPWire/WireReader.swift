/// Bytes inside a request's arena or body: valid as long as their owner.
public typealias WireBytes = UnsafeRawBufferPointer

/// Why bytes are not the protobuf message they claim to be. Carries no bytes of the message.
public enum WireError: Error, Equatable {
    case truncated
    case varintTooLong
    case invalidTag
    case groupsUnsupported
    case wrongWireType
    case nestedTooDeep
}

/// Reads the fields of one protobuf message from untrusted bytes: checked lengths, no allocation.
/// Encoding: https://protobuf.dev/programming-guides/encoding/
public struct WireReader {
    public struct Field {
        public let number: UInt32
        public let type: WireType
        /// Varint, fixed64 or fixed32 as it stands in the message; 0 for length-delimited fields.
        public let scalar: UInt64
        /// Payload of a length-delimited field.
        public let bytes: WireBytes

        @inlinable @inline(__always)
        init(number: UInt32, type: WireType, scalar: UInt64, bytes: WireBytes) {
            self.number = number
            self.type = type
            self.scalar = scalar
            self.bytes = bytes
        }

        /// The payload of a field that must be length-delimited.
        @inline(__always)
        func payload() throws(WireError) -> WireBytes {
            guard type == .lengthDelimited else { throw .wrongWireType }
            return bytes
        }

        /// The scalar of a field that must be of wire type `expected`.
        @inline(__always)
        func value(_ expected: WireType) throws(WireError) -> UInt64 {
            guard type == expected else { throw .wrongWireType }
            return scalar
        }
    }

    public enum WireType: UInt8, Sendable {
        case varint = 0
        case fixed64 = 1
        case lengthDelimited = 2
        case fixed32 = 5
    }

    /// Where the next field starts.
    @usableFromInline var position: UnsafeRawPointer
    @usableFromInline let end: UnsafeRawPointer

    /// An address for empty input, where a buffer's base address may be nil.
    @inlinable @inline(__always)
    static var nowhere: UnsafeRawPointer { UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped }

    @inlinable @inline(__always)
    public init(_ bytes: WireBytes) {
        position = bytes.baseAddress ?? Self.nowhere
        end = position + bytes.count
    }

    public var isAtEnd: Bool { position >= end }

    /// The next field, or nil at the end of the message.
    @inlinable @inline(__always)
    public mutating func next() throws(WireError) -> Field? {
        guard position < end else { return nil }
        let tag = try varint()
        let number = tag >> 3
        guard number >= 1, number <= 0x1FFF_FFFF else { throw .invalidTag }
        switch tag & 7 {
        case 0:
            return Field(number: UInt32(number), type: .varint, scalar: try varint(), bytes: WireBytes(start: nil, count: 0))
        case 1:
            return Field(number: UInt32(number), type: .fixed64, scalar: try fixed(UInt64.self), bytes: WireBytes(start: nil, count: 0))
        case 2:
            return Field(number: UInt32(number), type: .lengthDelimited, scalar: 0, bytes: try lengthDelimited())
        case 5:
            let value = UInt64(try fixed(UInt32.self))
            return Field(number: UInt32(number), type: .fixed32, scalar: value, bytes: WireBytes(start: nil, count: 0))
        case 3, 4:
            throw .groupsUnsupported
        default:
            throw .invalidTag
        }
    }

    @inlinable @inline(__always)
    mutating func varint() throws(WireError) -> UInt64 {
        guard position < end else { throw .truncated }
        let first = position.load(as: UInt8.self)
        if first < 0x80 {
            position += 1
            return UInt64(first)
        }
        return try longVarint()
    }

    @usableFromInline
    mutating func longVarint() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 70 {
            guard position < end else { throw .truncated }
            let byte = position.load(as: UInt8.self)
            position += 1
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw .varintTooLong
    }

    @inlinable @inline(__always)
    mutating func fixed<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) throws(WireError) -> Value {
        guard end - position >= MemoryLayout<Value>.size else { throw .truncated }
        defer { position += MemoryLayout<Value>.size }
        return Value(littleEndian: position.loadUnaligned(as: type))
    }

    @inlinable @inline(__always)
    mutating func lengthDelimited() throws(WireError) -> WireBytes {
        let length = try varint()
        guard length <= UInt64(end - position) else { throw .truncated }
        defer { position += Int(length) }
        return WireBytes(start: position, count: Int(length))
    }

    /// The payload of the next field when its tag is the byte `tag`, of a length-delimited field, and its length takes one or two
    /// bytes. Else nil, and the reader stays where it is.
    @inlinable @inline(__always)
    mutating func usual(_ tag: UInt8) -> WireBytes? {
        guard end - position >= 3, position.load(as: UInt8.self) == tag else { return nil }
        var count = Int(position.load(fromByteOffset: 1, as: UInt8.self))
        var start = position + 2
        if count >= 0x80 {
            let high = Int(position.load(fromByteOffset: 2, as: UInt8.self))
            guard high < 0x80 else { return nil }
            count = count & 0x7F | high << 7
            start += 1
        }
        guard count <= end - start else { return nil }
        position = start + count
        return WireBytes(start: start, count: count)
    }

    /// The payload of a length-delimited field that takes all of `message`; nil when it does not, or is not told in two bytes of
    /// length. The message's first byte is to be the field's tag.
    @inlinable @inline(__always)
    static func only(_ message: WireBytes) -> WireBytes? {
        guard message.count >= 2, let start = message.baseAddress else { return nil }
        let low = Int(start.load(fromByteOffset: 1, as: UInt8.self))
        if low < 0x80 { return low + 2 == message.count ? WireBytes(start: start + 2, count: low) : nil }
        guard message.count >= 3 else { return nil }
        let high = Int(start.load(fromByteOffset: 2, as: UInt8.self))
        let count = low & 0x7F | high << 7
        return high < 0x80 && count + 3 == message.count ? WireBytes(start: start + 3, count: count) : nil
    }
}
