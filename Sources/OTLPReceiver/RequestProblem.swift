import OTLPWire
import Pipeline

/// Why a request is not answered OK. Each is decided where it is found; this file alone says what clients see of it.
enum RequestProblem: Error, Equatable {
    // The request's form
    case unknownPath
    case unknownService
    case wrongMethod
    case wrongContentType
    case grpcNeedsHTTP2
    case unsupportedCompression
    case compressedWithoutEncoding
    case framing(GRPCMessage.FramingError)
    // Its content
    case decompression
    case malformed
    case malformedJSON(message: String)
    case nestedTooDeep
    case tooManySpans(max: Int)
    case expandsTooMuch
    case messageTooLarge(maxBytes: Int)
    case unknownHealthService
    // Our state
    case refused(Refusal, after: Duration?)
    case rejected(Refusal)
    case overloaded
    case tooSlow
    case deadlineExceeded
}

/// Status codes of gRPC that this server uses: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
enum GRPCStatus: Int32 {
    case ok = 0
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case resourceExhausted = 8
    case unimplemented = 12
    case `internal` = 13
    case unavailable = 14
}

extension RequestProblem {
    /// How long a client should wait before it sends again, when the pipeline has no better estimate.
    static let retryAfterDefault = Duration.seconds(1)

    /// The one mapping to gRPC and HTTP. Only 429, 502, 503 and 504 are retried by HTTP clients, so only passing trouble gets
    /// those (rules 7-9, 15, 19-22 of the OTLP contract).
    var status: (grpc: GRPCStatus, http: Int) {
        switch self {
        case .unknownPath: (.unimplemented, 404)
        case .unknownService: (.unimplemented, 404)
        case .wrongMethod: (.unimplemented, 405)
        case .wrongContentType, .grpcNeedsHTTP2: (.invalidArgument, 415)
        case .unsupportedCompression: (.unimplemented, 415)
        case .compressedWithoutEncoding: (.internal, 400)
        case .framing(.tooLarge): (.resourceExhausted, 413)
        case .framing: (.internal, 400)
        case .decompression, .malformed, .malformedJSON, .nestedTooDeep, .tooManySpans, .expandsTooMuch: (.invalidArgument, 400)
        case .messageTooLarge: (.resourceExhausted, 413)
        case .unknownHealthService: (.notFound, 404)
        case .refused, .overloaded: (.unavailable, 503)
        case .rejected: (.invalidArgument, 400)
        case .tooSlow: (.deadlineExceeded, 408)
        case .deadlineExceeded: (.deadlineExceeded, 504)
        }
    }

    /// For passing trouble: when to come back.
    var retryAfter: Duration? {
        switch self {
        case .refused(_, let after): after ?? Self.retryAfterDefault
        case .overloaded: Self.retryAfterDefault
        default: nil
        }
    }

    /// Whether the content is at fault, which the answer says in its BadRequest details.
    var isBadRequest: Bool { status.grpc == .invalidArgument }

    /// For people: what is wrong and what to do about it, without any of the request's bytes.
    var message: String {
        switch self {
        case .unknownPath: "unknown path; OTLP over HTTP is served at the signal's path, by default /v1/traces"
        case .unknownService: "unknown service or method; this collector serves opentelemetry.proto.collector.trace.v1.TraceService/Export"
        case .wrongMethod: "wrong method; use POST"
        case .wrongContentType: "unsupported content-type; use application/x-protobuf, application/json, or application/grpc"
        case .grpcNeedsHTTP2: "gRPC needs HTTP/2"
        case .unsupportedCompression: "unsupported compression; use identity, gzip, deflate or zstd"
        case .compressedWithoutEncoding: "the message is flagged as compressed but grpc-encoding names no compression"
        case .framing(let error): Self.message(of: error)
        case .decompression: "the body could not be decompressed"
        case .malformed: "the body is not an OTLP export request"
        case .malformedJSON(let message): "the body is not an OTLP/JSON export request: \(message)"
        case .nestedTooDeep: "attribute values are nested more than 64 deep"
        case .tooManySpans(let max): "more than \(max) spans in one request"
        case .expandsTooMuch: "the request unpacks to far more memory than its size allows"
        case .messageTooLarge(let maxBytes): "the message is larger than the limit of \(maxBytes) bytes"
        case .unknownHealthService: "unknown service"
        case .refused(let refusal, _), .rejected(let refusal): refusal.message
        case .overloaded: Refusal.memoryLimit.message
        case .tooSlow: "the request came too slowly"
        case .deadlineExceeded: "the deadline set by the client has passed"
        }
    }

    private static func message(of error: GRPCMessage.FramingError) -> String {
        switch error {
        case .missing: "the request has no message"
        case .truncated: "the message is shorter than its length prefix says"
        case .unknownFlag: "unknown flag in the message's prefix"
        case .moreThanOne: "more than one message in a unary call"
        case .tooLarge: "the message is larger than the limit"
        }
    }
}

extension RequestProblem {
    init(_ error: DecodeError, limits: DecodeLimits) {
        switch error {
        case .malformed: self = .malformed
        case .nestedTooDeep: self = .nestedTooDeep
        case .tooManySpans: self = .tooManySpans(max: limits.spansMax)
        case .expandsTooMuch: self = .expandsTooMuch
        }
    }

    init(_ error: JSONError) {
        switch error.problem {
        case .nestedTooDeep: self = .nestedTooDeep
        case .outOfMemory: self = .overloaded
        case .notJSON, .tooLarge, .expectedObject, .expectedArray, .expectedString, .expectedBoolean, .expectedNumber,
            .expectedInteger, .expectedEnumNumber, .expectedHex, .expectedBase64, .outOfRange:
            self = .malformedJSON(message: error.message)
        }
    }
}
