import CNGHTTP2

/// A client that writes HTTP/2 frames by hand, so that it can also misbehave. Only the header decompression is nghttp2's.
final class HTTP2Client {
    struct Frame {
        var type: UInt8
        var flags: UInt8
        var stream: Int
        var payload: [UInt8]

        var endsStream: Bool { flags & 1 != 0 }
        /// The error code of RST_STREAM (offset 0) or GOAWAY (offset 4).
        func code(at offset: Int) -> Int { payload[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } }
    }

    struct Response: Equatable {
        var status = 0
        var headers: [String: String] = [:]
        var trailers: [String: String] = [:]
        var body: [UInt8] = []
        var isOver = false
        var resetCode: Int?

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let priority: UInt8 = 2
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
        static let continuation: UInt8 = 9
    }

    let socket: RawClient
    private let inflater: OpaquePointer
    private(set) var responses: [Int: Response] = [:]
    /// Credit the server has given, by stream (0: connection), without the initial windows.
    private(set) var credit: [Int: Int] = [:]
    private(set) var goAways: [Frame] = []
    private(set) var pingAnswers = 0

    init(port: Int, preface: Bool = true) throws {
        socket = try RawClient(port: port)
        var made: OpaquePointer?
        guard nghttp2_hd_inflate_new(&made) == 0, let made else { throw RawClient.Failed(what: "no memory") }
        inflater = made
        if preface {
            try socket.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            try send(Kind.settings, stream: 0, [])
            // The larger windows hold from our acknowledgement on.
            while try readFrame().type != Kind.settings {}
        }
    }

    deinit {
        nghttp2_hd_inflate_del(inflater)
    }

    // MARK: Sending

    static func frame(_ type: UInt8, flags: UInt8 = 0, stream: Int, _ payload: [UInt8]) -> [UInt8] {
        let length = payload.count
        return [UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags] + word(stream) + payload
    }

    static func word(_ number: Int) -> [UInt8] {
        [UInt8(number >> 24 & 255), UInt8(number >> 16 & 255), UInt8(number >> 8 & 255), UInt8(number & 255)]
    }

    /// Literal fields without indexing and without Huffman code.
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        func text(_ text: String) -> [UInt8] {
            let count = text.utf8.count
            if count < 127 { return [UInt8(count)] + text.utf8 }
            var rest = count - 127
            var length: [UInt8] = [127]
            while rest >= 128 {
                length.append(UInt8(rest & 127 | 128))
                rest >>= 7
            }
            return length + [UInt8(rest)] + text.utf8
        }
        return fields.flatMap { [0] + text($0.0) + text($0.1) }
    }

    func send(_ type: UInt8, flags: UInt8 = 0, stream: Int, _ payload: [UInt8]) throws {
        try socket.send(Self.frame(type, flags: flags, stream: stream, payload))
    }

    func sendHead(_ stream: Int, _ path: String, method: String = "POST", _ extra: [(String, String)] = [], end: Bool = false) throws {
        let fields = [(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path)] + extra
        try send(Kind.headers, flags: end ? 5 : 4, stream: stream, Self.block(fields))
    }

    func sendData(_ stream: Int, _ bytes: [UInt8], end: Bool) throws {
        var rest = bytes[...]
        repeat {
            let part = rest.prefix(16384)
            rest = rest.dropFirst(part.count)
            try send(Kind.data, flags: end && rest.isEmpty ? 1 : 0, stream: stream, Array(part))
        } while !rest.isEmpty
    }

    // MARK: Receiving

    func readFrame() throws -> Frame {
        let head = try socket.read(9)
        let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
        let stream = head[5..<9].reduce(0) { $0 << 8 | Int($1) } & 0x7fff_ffff
        let frame = Frame(type: head[3], flags: head[4], stream: stream, payload: try socket.read(length))
        try note(frame)
        return frame
    }

    private func note(_ frame: Frame) throws {
        switch frame.type {
        case Kind.data:
            responses[frame.stream, default: Response()].body += frame.payload
        case Kind.headers:
            let fields = try inflate(frame.payload)
            var response = responses[frame.stream, default: Response()]
            if let status = fields[":status"].flatMap({ Int($0) }) {
                response.status = status
                response.headers = fields
            } else {
                response.trailers = fields
            }
            responses[frame.stream] = response
        case Kind.reset:
            responses[frame.stream, default: Response()].resetCode = frame.code(at: 0)
            responses[frame.stream]?.isOver = true
        case Kind.settings where frame.flags & 1 == 0: try send(Kind.settings, flags: 1, stream: 0, [])
        case Kind.ping where frame.flags & 1 == 0: try send(Kind.ping, flags: 1, stream: 0, frame.payload)
        case Kind.ping: pingAnswers += 1
        case Kind.goAway: goAways.append(frame)
        case Kind.windowUpdate: credit[frame.stream, default: 0] += frame.code(at: 0)
        default: break
        }
        if frame.type <= Kind.headers && frame.endsStream { responses[frame.stream]?.isOver = true }
    }

    private func inflate(_ block: [UInt8]) throws -> [String: String] {
        var fields: [String: String] = [:]
        var rest = block[...]
        while true {
            var field = nghttp2_nv()
            var flags: Int32 = 0
            let taken = Array(rest).withUnsafeBufferPointer {
                nghttp2_hd_inflate_hd2(inflater, &field, &flags, $0.baseAddress, $0.count, 1)
            }
            if taken < 0 { throw RawClient.Failed(what: "bad header block") }
            rest = rest.dropFirst(taken)
            if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
                let name = UnsafeBufferPointer(start: field.name, count: field.namelen)
                let value = UnsafeBufferPointer(start: field.value, count: field.valuelen)
                fields[String(decoding: name, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
            }
            if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 {
                nghttp2_hd_inflate_end_headers(inflater)
                return fields
            }
        }
    }

    /// Reads frames until the stream is over.
    func response(_ stream: Int) throws -> Response {
        while responses[stream]?.isOver != true { _ = try readFrame() }
        return responses[stream] ?? Response()
    }

    /// Reads what there is until the server closes.
    func readToEnd() {
        while (try? readFrame()) != nil {}
    }

    /// Waits until the server has taken note of everything sent so far.
    func roundTrip() throws {
        let before = pingAnswers
        try send(Kind.ping, stream: 0, [0, 0, 0, 0, 0, 0, 0, 0])
        while pingAnswers == before { _ = try readFrame() }
    }

    func post(_ stream: Int, _ path: String, _ body: [UInt8], _ extra: [(String, String)] = []) throws -> Response {
        try sendHead(stream, path, extra)
        try sendData(stream, body, end: true)
        return try response(stream)
    }
}
