@testable import OTLPWire

/// Encoded protobuf fields, put together by hand so that they may be wrong.
typealias Fields = [UInt8]

enum Wire {
    static let traceID = [UInt8](1...16)
    static let spanID = [UInt8](1...8)

    static func varint(_ value: UInt64) -> Fields {
        written { $0.appendVarint(value) }
    }

    static func tag(_ field: UInt32, _ type: UInt8) -> Fields {
        varint(UInt64(field) << 3 | UInt64(type))
    }

    static func bytes(_ field: UInt32, _ payload: [UInt8]) -> Fields {
        tag(field, 2) + varint(UInt64(payload.count)) + payload
    }

    static func text(_ field: UInt32, _ text: String) -> Fields {
        bytes(field, Array(text.utf8))
    }

    static func number(_ field: UInt32, _ value: UInt64) -> Fields {
        tag(field, 0) + varint(value)
    }

    static func fixed64(_ field: UInt32, _ value: UInt64) -> Fields {
        tag(field, 1) + written { $0.appendLittleEndian(value) }
    }

    static func fixed32(_ field: UInt32, _ value: UInt32) -> Fields {
        tag(field, 5) + written { $0.appendLittleEndian(value) }
    }

    /// A field with a value of the given wire type, whatever the field should have.
    static func any(_ field: UInt32, type: UInt8) -> Fields {
        switch type {
        case 0: number(field, 1)
        case 1: fixed64(field, 1)
        case 2: bytes(field, [])
        case 5: fixed32(field, 1)
        default: tag(field, type)
        }
    }

    static let ids = bytes(1, traceID) + bytes(2, spanID)

    static func attribute(_ key: String, value: Fields) -> Fields {
        text(1, key) + bytes(2, value)
    }

    /// An export request of one resource and scope with these encoded spans.
    static func request(_ spans: [Fields]) -> Fields {
        bytes(1, bytes(2, spans.flatMap { bytes(2, $0) }))
    }

    static func request(spanFields: Fields) -> Fields {
        request([ids + spanFields])
    }

    /// A request whose only attribute has `levels` arrays in each other.
    static func nestedArrays(_ levels: Int) -> Fields {
        var value: Fields = text(1, "innermost")
        for _ in 0..<levels { value = bytes(5, bytes(1, value)) }
        return request(spanFields: bytes(9, attribute("k", value: value)))
    }
}
