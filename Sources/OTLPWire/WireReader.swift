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
    private(set) var position: UnsafeRawPointer
    private let end: UnsafeRawPointer

    /// An address for empty input, where a buffer's base address may be nil.
    @inline(__always)
    static var nowhere: UnsafeRawPointer { UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped }

    @inline(__always)
    public init(_ bytes: WireBytes) {
        position = bytes.baseAddress ?? Self.nowhere
        end = position + bytes.count
    }

    public var isAtEnd: Bool { position >= end }

    /// The next field, or nil at the end of the message.
    @inline(__always)
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

    @inline(__always)
    private mutating func varint() throws(WireError) -> UInt64 {
        guard position < end else { throw .truncated }
        let first = position.load(as: UInt8.self)
        if first < 0x80 {
            position += 1
            return UInt64(first)
        }
        return try longVarint()
    }

    private mutating func longVarint() throws(WireError) -> UInt64 {
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

    @inline(__always)
    private mutating func fixed<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) throws(WireError) -> Value {
        guard end - position >= MemoryLayout<Value>.size else { throw .truncated }
        defer { position += MemoryLayout<Value>.size }
        return Value(littleEndian: position.loadUnaligned(as: type))
    }

    @inline(__always)
    private mutating func lengthDelimited() throws(WireError) -> WireBytes {
        let length = try varint()
        guard length <= UInt64(end - position) else { throw .truncated }
        defer { position += Int(length) }
        return WireBytes(start: position, count: Int(length))
    }
}
