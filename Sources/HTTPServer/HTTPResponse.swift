internal import CNGHTTP2
import Glibc

/// An answer, encoded when it is made: sending it allocates and formats nothing, so that the usual ones are made once and
/// shared by all requests, event loops and protocols.
///
/// Layout of the one block of memory: `HTTP/1.1 200 OK\r\n`, `name: value\r\n` per header, `content-length` where the
/// answer has one, then the trailers in the same form, then the body. HTTP/1.1 sends the block as it stands; HTTP/2's name
/// and value arrays point into it.
///
/// `@unchecked Sendable`: nothing changes after `init`.
public final class HTTPResponse: @unchecked Sendable {
    /// Name (lower case) and value. Control characters in a value become spaces: a value cannot break out of its line.
    public typealias Fields = [(name: String, value: String)]

    /// The HTTP status code.
    public let status: Int
    /// Label `transport` of the request counter: "grpc" when the content type says so, else "http".
    public let isGRPC: Bool
    /// Label `code` of the request counter: the `grpc-status` or the HTTP status.
    let countedCode: Int

    private let block: UnsafeMutableRawPointer
    private let http1HeadCount: Int
    private let bodyStart: Int
    private let bodyCount: Int
    /// `:status` and the headers, with a free place at the end (for `date`).
    let http2Headers: UnsafeMutablePointer<nghttp2_nv>
    let http2HeaderCount: Int
    let http2Trailers: UnsafeMutablePointer<nghttp2_nv>
    let http2TrailerCount: Int

    /// - Parameters:
    ///   - status: 100 to 599.
    ///   - headers: without `content-length`, `date` and `connection`, which are the server's own.
    ///   - body: copied.
    ///   - trailers: sent after the body on HTTP/2 (gRPC's status), left out on HTTP/1.1. With trailers there is no
    ///     `content-length`.
    public init(status: Int, headers: Fields = [], body: UnsafeRawBufferPointer, trailers: Fields = []) {
        precondition((100...599).contains(status), "a status code has three digits")
        var draft = Draft(status: status)
        for field in headers { draft.append(field.name, field.value) }
        if trailers.isEmpty && status >= 200 && status != 204 && status != 304 { draft.append("content-length", "\(body.count)") }
        let headerPlaces = draft.places
        let headEnd = draft.text.count
        draft.places = []
        for field in trailers { draft.append(field.name, field.value) }

        self.status = status
        isGRPC = headers.contains { $0.name == "content-type" && $0.value.hasPrefix("application/grpc") }
        let grpcStatus = (trailers + headers).first { $0.name == "grpc-status" }?.value
        countedCode = isGRPC ? grpcStatus.flatMap { Int($0) } ?? status : status

        http1HeadCount = headEnd
        bodyStart = draft.text.count
        bodyCount = body.count
        block = .allocate(byteCount: draft.text.count + body.count, alignment: 16)
        let start = block
        draft.text.withUnsafeBytes { start.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(start), byteCount: $0.count) }
        if let source = body.baseAddress { memcpy(block + draft.text.count, source, body.count) }
        http2HeaderCount = headerPlaces.count + 1
        http2Headers = .allocate(capacity: http2HeaderCount + 1)
        http2Headers[0] = nghttp2_nv(constantName: ":status", value: block + Draft.statusStart, count: 3)
        for (index, place) in headerPlaces.enumerated() { http2Headers[index + 1] = nghttp2_nv(place, in: block) }
        http2TrailerCount = draft.places.count
        http2Trailers = .allocate(capacity: max(1, http2TrailerCount))
        for (index, place) in draft.places.enumerated() { http2Trailers[index] = nghttp2_nv(place, in: block) }
    }

    /// The same with the body's bytes in an array.
    public convenience init(status: Int, headers: Fields = [], body: [UInt8] = [], trailers: Fields = []) {
        // An initializer cannot be called inside withUnsafeBytes, hence the copy.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: body.count, alignment: 1)
        copy.copyBytes(from: body)
        defer { copy.deallocate() }
        self.init(status: status, headers: headers, body: UnsafeRawBufferPointer(copy), trailers: trailers)
    }

    deinit {
        block.deallocate()
        http2Headers.deallocate()
        http2Trailers.deallocate()
    }

    var body: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: block + bodyStart, count: bodyCount) }

    /// Status line and headers, each ended by CRLF, without the empty line.
    var http1Head: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: block, count: http1HeadCount) }

    /// Header or trailer text of a response under construction.
    private struct Draft {
        static let statusStart = "HTTP/1.1 ".utf8.count
        var text: [UInt8]
        var places: [HeaderBlock.Field] = []

        init(status: Int) {
            text = Array("HTTP/1.1 \(status) \(HTTPStatus.reason(status))\r\n".utf8)
        }

        mutating func append(_ name: String, _ value: String) {
            let nameStart = text.count
            text.append(contentsOf: name.utf8.lazy.map(asciiLowercased))
            let nameCount = text.count - nameStart
            text.append(contentsOf: ": ".utf8)
            let valueStart = text.count
            text.append(contentsOf: value.utf8.lazy.map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: " ") : $0 })
            places.append(
                HeaderBlock.Field(
                    nameStart: UInt32(nameStart), nameCount: UInt32(nameCount), valueStart: UInt32(valueStart),
                    valueCount: UInt32(text.count - valueStart)))
            text.append(contentsOf: "\r\n".utf8)
        }
    }
}

extension nghttp2_nv {
    /// A field whose bytes outlive the call that is given it: nghttp2 need not copy them.
    init(constantName name: StaticString, value: UnsafeMutableRawPointer, count: Int) {
        self.init(
            name: UnsafeMutablePointer(mutating: name.utf8Start), value: value.assumingMemoryBound(to: UInt8.self),
            namelen: name.utf8CodeUnitCount, valuelen: count, flags: Self.borrowed)
    }

    fileprivate init(_ place: HeaderBlock.Field, in block: UnsafeMutableRawPointer) {
        self.init(
            name: (block + Int(place.nameStart)).assumingMemoryBound(to: UInt8.self),
            value: (block + Int(place.valueStart)).assumingMemoryBound(to: UInt8.self),
            namelen: Int(place.nameCount), valuelen: Int(place.valueCount), flags: Self.borrowed)
    }

    private static var borrowed: UInt8 {
        UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)
    }
}

/// Reason phrases of HTTP/1.1 (RFC 9110, section 15); informative only.
enum HTTPStatus {
    static func reason(_ status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 200: "OK"
        case 204: "No Content"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 411: "Length Required"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Status"
        }
    }
}
