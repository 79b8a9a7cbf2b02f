/// Protobuf written front to back. Encoding: https://protobuf.dev/programming-guides/encoding/
extension OutputBuffer {
    /// A message that is being written: where its length belongs, and how many bytes are kept free for it.
    struct OpenMessage {
        fileprivate let start: Int
        fileprivate let lengthBytes: Int
        fileprivate let isPadded: Bool
    }

    /// Bytes of a length that is padded: up to 2^28 - 1.
    static let paddedLengthBytes = 4
    static let paddedLengthMax = 1 << 28 - 1
    /// Bytes of the length of a message that may be larger still: up to 2^35 - 1.
    private static let largeLengthBytes = 5

    @inline(__always)
    mutating func appendVarint(_ value: UInt64) {
        if value < 0x80 {
            append(UInt8(truncatingIfNeeded: value))
        } else {
            appendLongVarint(value)
        }
    }

    private mutating func appendLongVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    @inline(__always)
    mutating func appendTag(_ field: UInt32, _ type: WireReader.WireType) {
        appendVarint(UInt64(field) << 3 | UInt64(type.rawValue))
    }

    mutating func appendField(_ field: UInt32, varint value: UInt64) {
        appendTag(field, .varint)
        appendVarint(value)
    }

    mutating func appendField(_ field: UInt32, bytes: WireBytes) {
        appendTag(field, .lengthDelimited)
        appendVarint(UInt64(bytes.count))
        append(bytes)
    }

    /// Starts the length-delimited payload of a field whose tag was written. `expectedBytes` is a guess of its length: a wrong
    /// one costs a move of the payload.
    @inline(__always)
    mutating func openMessage(expectedBytes: Int) -> OpenMessage {
        let lengthBytes = expectedBytes < 0x80 ? 1 : 2
        return OpenMessage(start: appendGap(lengthBytes), lengthBytes: lengthBytes, isPadded: false)
    }

    /// Starts a payload that is never moved: its length takes four bytes, with continuation bits where fewer would do. All
    /// protobuf decoders accept that; it is for messages that may be large, of at most `paddedLengthMax` bytes.
    mutating func openPaddedMessage() -> OpenMessage {
        OpenMessage(start: appendGap(Self.paddedLengthBytes), lengthBytes: Self.paddedLengthBytes, isPadded: true)
    }

    /// The same for messages whose size nothing bounds but memory.
    mutating func openLargeMessage() -> OpenMessage {
        OpenMessage(start: appendGap(Self.largeLengthBytes), lengthBytes: Self.largeLengthBytes, isPadded: true)
    }

    @inline(__always)
    mutating func closeMessage(_ message: OpenMessage) {
        let length = count - message.start - message.lengthBytes
        if length < 0x80, message.lengthBytes == 1 {
            patch(UInt8(length), at: message.start)
        } else {
            closeLongMessage(message, length)
        }
    }

    private mutating func closeLongMessage(_ message: OpenMessage, _ length: Int) {
        var lengthBytes = message.lengthBytes
        if message.isPadded {
            precondition(length < 1 << (7 * message.lengthBytes))
        } else {
            lengthBytes = Self.varintBytes(length)
            if lengthBytes != message.lengthBytes {
                shift(from: message.start + message.lengthBytes, by: lengthBytes - message.lengthBytes)
            }
        }
        for index in 0..<lengthBytes {
            let isLast = index == lengthBytes - 1
            patch(UInt8(truncatingIfNeeded: length >> (7 * index)) & 0x7F | (isLast ? 0 : 0x80), at: message.start + index)
        }
    }

    /// Bytes of a non-negative varint.
    private static func varintBytes(_ value: Int) -> Int {
        (Int.bitWidth - (value | 1).leadingZeroBitCount + 6) / 7
    }
}
