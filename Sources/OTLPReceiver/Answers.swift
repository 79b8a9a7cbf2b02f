import HTTPServer
import OTLPWire

/// Words the answers: OTLP response or google.rpc.Status, as a gRPC message with trailers or an HTTP body, in the request's
/// encoding. The usual answers are made once and shared by all requests.
struct Answers {
    enum Success: Equatable {
        /// Everything was taken.
        case complete
        case partial(rejected: Int, reason: String)
        case health(isServing: Bool)
    }

    /// Bytes that an error message keeps: gRPC peers limit header lists, and details repeat the message.
    static let messageBytesMax = 1024

    private let cors: CORSConfig?
    private let grpcComplete = Self.grpc(message: [])
    private let protobufComplete = Self.http(status: 200, .protobuf, body: [])
    private let jsonComplete = Self.http(status: 200, .json, body: OTLPResponse.exportTraces(rejectedSpans: 0, message: "", .json))

    init(cors: CORSConfig?) {
        self.cors = cors
    }

    /// - Parameter origin: the request's, when browsers are to be answered.
    func success(_ success: Success, _ kind: RequestKind, origin: WireBytes?) -> HTTPResponse {
        let body: [UInt8]
        switch success {
        case .complete:
            if kind.transport == .grpc { return grpcComplete }
            if origin == nil { return kind.encoding == .json ? jsonComplete : protobufComplete }
            body = OTLPResponse.exportTraces(rejectedSpans: 0, message: "", kind.encoding.wire)
        case .partial(let rejected, let reason):
            body = OTLPResponse.exportTraces(rejectedSpans: rejected, message: reason, kind.encoding.wire)
        case .health(let isServing):
            body = HealthCheck.response(isServing: isServing)
        }
        if kind.transport == .grpc { return Self.grpc(message: body) }
        return Self.http(status: 200, kind.encoding, headers: allowed(origin), body: body)
    }

    func problem(_ problem: RequestProblem, _ kind: RequestKind, origin: WireBytes?) -> HTTPResponse {
        let (grpcStatus, httpStatus) = problem.status
        let message = String(problem.message.prefix(Self.messageBytesMax))
        let details = OTLPResponse.Details(
            badRequest: problem.isBadRequest ? message : nil, retryDelay: problem.retryAfter)
        if kind.transport == .grpc {
            let status = OTLPResponse.status(code: grpcStatus.rawValue, message: message, details: details, .protobuf)
            var headers = [
                (name: "content-type", value: "application/grpc"), (name: "grpc-status", value: "\(grpcStatus.rawValue)"),
                (name: "grpc-message", value: Self.percentEncoded(message)),
                (name: "grpc-status-details-bin", value: OTLPResponse.base64(status)),
            ]
            if let after = problem.retryAfter {
                // The Python SDK looks for the delay here and not in the status details.
                headers.append((name: "google.rpc.retryinfo-bin", value: OTLPResponse.base64(OTLPResponse.retryInfo(after))))
            }
            if problem == .unsupportedCompression { headers.append((name: "grpc-accept-encoding", value: "identity,gzip,deflate,zstd")) }
            return HTTPResponse(status: 200, headers: headers)
        }
        var headers = allowed(origin)
        if let after = problem.retryAfter { headers.append((name: "retry-after", value: "\(Self.wholeSeconds(after))")) }
        if problem == .wrongMethod { headers.append((name: "allow", value: cors == nil ? "POST" : "POST, OPTIONS")) }
        if problem == .unsupportedCompression { headers.append((name: "accept-encoding", value: "identity, gzip, deflate, zstd")) }
        let status = OTLPResponse.status(code: grpcStatus.rawValue, message: message, details: details, kind.encoding.wire)
        return Self.http(status: httpStatus, kind.encoding, headers: headers, body: status)
    }

    /// Answer to a browser's preflight. Without the allow headers when the origin is not ours to allow: the browser stops then.
    func preflight(origin: WireBytes?) -> HTTPResponse {
        var headers = allowed(origin)
        if let cors, headers.contains(where: { $0.name == "access-control-allow-origin" }) {
            let names = ["content-type", "content-encoding"] + cors.allowedHeaders
            headers.append((name: "access-control-allow-methods", value: "POST"))
            headers.append((name: "access-control-allow-headers", value: names.joined(separator: ", ")))
            if cors.maxAgeSeconds > 0 { headers.append((name: "access-control-max-age", value: "\(cors.maxAgeSeconds)")) }
        }
        return HTTPResponse(status: 204, headers: headers)
    }

    private func allowed(_ origin: WireBytes?) -> HTTPResponse.Fields {
        guard let cors, let origin else { return [] }
        let text = String(decoding: origin, as: UTF8.self)
        guard cors.allows(origin: text) else { return [(name: "vary", value: "origin")] }
        return [(name: "access-control-allow-origin", value: text), (name: "vary", value: "origin")]
    }

    private static func grpc(message: [UInt8]) -> HTTPResponse {
        let count = UInt32(message.count)
        let prefix = [0, UInt8(count >> 24), UInt8(count >> 16 & 0xFF), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF)]
        return HTTPResponse(
            status: 200, headers: [(name: "content-type", value: "application/grpc")], body: prefix + message,
            trailers: [(name: "grpc-status", value: "0")])
    }

    private static func http(
        status: Int, _ encoding: RequestKind.Encoding, headers: HTTPResponse.Fields = [], body: [UInt8]
    ) -> HTTPResponse {
        HTTPResponse(status: status, headers: [(name: "content-type", value: encoding.contentType)] + headers, body: body)
    }

    /// Rule 22: whole seconds, at least one.
    static func wholeSeconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return max(1, attoseconds > 0 ? seconds + 1 : seconds)
    }

    /// `grpc-message`: everything outside printable ASCII, and `%`, as %XX of its UTF-8.
    static func percentEncoded(_ message: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in message.utf8 {
            if byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "%") {
                out.append(byte)
            } else {
                out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

extension RequestKind.Encoding {
    var contentType: String { self == .json ? "application/json" : "application/x-protobuf" }
    var wire: OTLPResponse.Encoding { self == .json ? .json : .protobuf }
}
