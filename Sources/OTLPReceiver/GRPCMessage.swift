import OTLPWire

/// The length-prefixed message of a unary gRPC request.
/// Format: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
struct GRPCMessage {
    static let prefixBytes = 5

    let isCompressed: Bool
    let payload: WireBytes

    enum FramingError: Error, Equatable {
        case missing
        case truncated
        case unknownFlag
        case moreThanOne
        case tooLarge
    }

    /// Splits the whole body of a request.
    init(body: WireBytes, maxBytes: Int) throws(FramingError) {
        guard body.count > 0 else { throw .missing }
        guard body.count >= Self.prefixBytes else { throw .truncated }
        guard body[0] <= 1 else { throw .unknownFlag }
        isCompressed = body[0] == 1
        let length = Int(UInt32(bigEndian: body.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
        guard length <= maxBytes else { throw .tooLarge }
        let rest = body.count - Self.prefixBytes
        guard rest >= length else { throw .truncated }
        guard rest == length else { throw .moreThanOne }
        payload = WireBytes(rebasing: body[Self.prefixBytes...])
    }
}

/// A `grpc-timeout` header: 1-8 digits and a unit.
enum GRPCTimeout {
    /// Nil when the value is not of that form.
    static func parse(_ value: WireBytes) -> Duration? {
        guard (2...9).contains(value.count) else { return nil }
        var number: Int64 = 0
        for byte in value.dropLast() {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            number = number * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        switch value[value.count - 1] {
        case UInt8(ascii: "H"): return .seconds(number * 3600)
        case UInt8(ascii: "M"): return .seconds(number * 60)
        case UInt8(ascii: "S"): return .seconds(number)
        case UInt8(ascii: "m"): return .milliseconds(number)
        case UInt8(ascii: "u"): return .microseconds(number)
        case UInt8(ascii: "n"): return .nanoseconds(number)
        default: return nil
        }
    }
}
