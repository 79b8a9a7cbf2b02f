import OTLPWire

/// An attribute's value.
enum TestValue {
    case string(String)
    case int(Int64)
    case double(Double)
    case bool(Bool)
    case list([TestValue])
    case map(KeyValuePairs<String, TestValue>)
    case bytes([UInt8])
}

/// Spans put together in memory and encoded as a client would.
struct TestSpan {
    typealias Value = TestValue

    var traceID: (UInt64, UInt64) = (0x0102_0304_0506_0708, 0x090A_0B0C_0D0E_0F10)
    var spanID: UInt64 = 1
    var parent: UInt64 = 0
    var name = "span"
    var kind: UInt64 = 1
    var start: UInt64 = 1_700_000_000_000_000_000
    var end: UInt64 = 1_700_000_000_100_000_000
    var traceState = ""
    var flags: UInt32 = 0
    var status: UInt64 = 0
    var statusMessage = ""
    var attributes: [(String, Value)] = []
    var events: [(String, [(String, Value)])] = []

    /// One request with these spans.
    static func batch(
        _ spans: [TestSpan], resource: [(String, Value)] = [], scope: (name: String, version: String) = ("", ""), received: UInt64 = 1,
        account: (any ByteAccount)? = nil
    ) throws -> TraceBatch {
        try request(spans, resource: resource, scope: scope).withUnsafeBytes {
            try TraceBatch.decode($0, receivedUnixNano: received, account: account)
        }
    }

    /// The request's bytes.
    static func request(
        _ spans: [TestSpan], resource: [(String, Value)] = [], scope: (name: String, version: String) = ("", "")
    ) -> [UInt8] {
        let scopeSpans = Encoded()
        scopeSpans.message(1) { $0.text(1, scope.name).text(2, scope.version) }
        for span in spans { scopeSpans.message(2) { span.encode(into: $0) } }
        let resourceSpans = Encoded()
        resourceSpans.message(1) { message in for (key, value) in resource { message.attribute(1, key, value) } }
        resourceSpans.bytes(2, scopeSpans.bytes)
        let request = Encoded()
        request.bytes(1, resourceSpans.bytes)
        return request.bytes
    }

    private func encode(into message: Encoded) {
        message.bytes(1, Encoded.bigEndian(traceID.0) + Encoded.bigEndian(traceID.1)).bytes(2, Encoded.bigEndian(spanID))
        if !traceState.isEmpty { message.text(3, traceState) }
        if parent != 0 { message.bytes(4, Encoded.bigEndian(parent)) }
        message.text(5, name).number(6, kind).fixed(7, start).fixed(8, end)
        for (key, value) in attributes { message.attribute(9, key, value) }
        for (name, attributes) in events {
            message.message(11) { event in
                event.fixed(1, start + 5).text(2, name)
                for (key, value) in attributes { event.attribute(3, key, value) }
            }
        }
        if status != 0 || !statusMessage.isEmpty { message.message(15) { $0.text(2, statusMessage).number(3, status) } }
        if flags != 0 { message.fixed32(16, flags) }
    }
}

/// Protobuf being written.
final class Encoded {
    private(set) var bytes: [UInt8] = []

    static func bigEndian(_ word: UInt64) -> [UInt8] { withUnsafeBytes(of: word.bigEndian) { Array($0) } }

    @discardableResult
    func varint(_ value: UInt64) -> Encoded {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
        return self
    }

    @discardableResult
    func tag(_ field: UInt64, _ type: UInt64) -> Encoded { varint(field << 3 | type) }

    @discardableResult
    func bytes(_ field: UInt64, _ payload: [UInt8]) -> Encoded {
        tag(field, 2).varint(UInt64(payload.count))
        bytes += payload
        return self
    }

    @discardableResult
    func text(_ field: UInt64, _ text: String) -> Encoded { bytes(field, Array(text.utf8)) }

    @discardableResult
    func number(_ field: UInt64, _ value: UInt64) -> Encoded { tag(field, 0).varint(value) }

    @discardableResult
    func fixed(_ field: UInt64, _ value: UInt64) -> Encoded {
        tag(field, 1)
        bytes += withUnsafeBytes(of: value.littleEndian) { Array($0) }
        return self
    }

    @discardableResult
    func fixed32(_ field: UInt64, _ value: UInt32) -> Encoded {
        tag(field, 5)
        bytes += withUnsafeBytes(of: value.littleEndian) { Array($0) }
        return self
    }

    @discardableResult
    func message(_ field: UInt64, _ body: (Encoded) -> Void) -> Encoded {
        let inner = Encoded()
        body(inner)
        return bytes(field, inner.bytes)
    }

    @discardableResult
    func attribute(_ field: UInt64, _ key: String, _ value: TestValue) -> Encoded {
        message(field) { $0.text(1, key).bytes(2, value.encoded) }
    }
}

extension TestValue {
    /// As an AnyValue.
    fileprivate var encoded: [UInt8] {
        let message = Encoded()
        switch self {
        case .string(let text): message.text(1, text)
        case .bool(let value): message.number(2, value ? 1 : 0)
        case .int(let value): message.number(3, UInt64(bitPattern: value))
        case .double(let value): message.fixed(4, value.bitPattern)
        case .list(let values): message.message(5) { list in for value in values { list.bytes(1, value.encoded) } }
        case .map(let entries): message.message(6) { map in for (key, value) in entries { map.attribute(1, key, value) } }
        case .bytes(let bytes): message.bytes(7, bytes)
        }
        return message.bytes
    }
}
