import HTTPServer
import OTLPWire

/// Tells from a request's head what it asks for.
struct Routes: Sendable {
    static let traceService: StaticString = "opentelemetry.proto.collector.trace.v1.TraceService"
    private static let tracePath: StaticString = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    private static let healthPath: StaticString = "/grpc.health.v1.Health/Check"

    /// Path of traces over HTTP.
    var tracesURLPath: [UInt8] = Array("/v1/traces".utf8)
    /// What HTTP clients may compress with; gRPC takes all.
    var httpCompressions: Set<Compression> = Set(Compression.allCases)
    var cors: CORSConfig?

    enum Decision: Equatable {
        case take(RequestKind)
        case refuse(RequestProblem, RequestKind)
        case preflight
    }

    func route(_ head: borrowing HTTPRequestHead) -> Decision {
        let contentType = ContentType(head.header("content-type"))
        let path = head.path
        if contentType == .grpc || contentType == .grpcOther {
            return grpc(head, path, contentType)
        }
        return http(head, path, contentType)
    }

    private func grpc(_ head: borrowing HTTPRequestHead, _ path: WireBytes, _ contentType: ContentType) -> Decision {
        var kind = RequestKind(operation: .exportTraces, transport: .grpc)
        // What cannot be answered in gRPC's terms is answered in HTTP's.
        let plain = RequestKind(operation: .exportTraces, transport: .http)
        guard contentType == .grpc else { return .refuse(.wrongContentType, plain) }
        guard head.version == .http2 else { return .refuse(.grpcNeedsHTTP2, plain) }
        guard head.method.matches("POST") else { return .refuse(.wrongMethod, plain) }
        if path.matches(Self.healthPath) {
            kind.operation = .checkHealth
        } else if !path.matches(Self.tracePath) {
            return .refuse(.unknownService, kind)
        }
        guard let compression = Compression(head.header("grpc-encoding")) else { return .refuse(.unsupportedCompression, kind) }
        kind.compression = compression
        return .take(kind)
    }

    private func http(_ head: borrowing HTTPRequestHead, _ path: WireBytes, _ contentType: ContentType) -> Decision {
        var kind = RequestKind(operation: .exportTraces, transport: .http, encoding: contentType == .json ? .json : .protobuf)
        let isGRPCPath = path.matches(Self.tracePath) || path.matches(Self.healthPath)
        guard isGRPCPath || path.elementsEqual(tracesURLPath) else { return .refuse(.unknownPath, kind) }
        if cors != nil, head.method.matches("OPTIONS") { return .preflight }
        guard head.method.matches("POST") else { return .refuse(.wrongMethod, kind) }
        guard !isGRPCPath, contentType == .protobuf || contentType == .json else { return .refuse(.wrongContentType, kind) }
        guard let compression = Compression(head.header("content-encoding")), httpCompressions.contains(compression) else {
            return .refuse(.unsupportedCompression, kind)
        }
        kind.compression = compression
        return .take(kind)
    }
}
