import HTTPServer
import OTLPWire

/// What a request asks for and in which form, read from its head. Travels as `HTTPRequest.tag`.
struct RequestKind: Equatable {
    enum Operation: Int {
        case exportTraces
        case checkHealth
    }

    enum Transport: Int {
        case grpc
        case http
    }

    enum Encoding: Int {
        case protobuf
        case json
    }

    var operation: Operation
    var transport: Transport
    var encoding: Encoding
    var compression: Compression

    init(operation: Operation, transport: Transport, encoding: Encoding = .protobuf, compression: Compression = .identity) {
        self.operation = operation
        self.transport = transport
        self.encoding = encoding
        self.compression = compression
    }

    init(tag: Int) {
        operation = Operation(rawValue: tag & 1) ?? .exportTraces
        transport = Transport(rawValue: tag >> 1 & 1) ?? .http
        encoding = Encoding(rawValue: tag >> 2 & 1) ?? .protobuf
        compression = Compression(rawValue: tag >> 3) ?? .identity
    }

    var tag: Int { operation.rawValue | transport.rawValue << 1 | encoding.rawValue << 2 | compression.rawValue << 3 }
}

/// The content types of OTLP; parameters after `;` are allowed.
enum ContentType: Equatable {
    case grpc
    case protobuf
    case json
    /// gRPC in an encoding that is not protobuf.
    case grpcOther
    case other
    case missing

    init(_ value: WireBytes?) {
        guard let value else {
            self = .missing
            return
        }
        var end = value.firstIndex(of: UInt8(ascii: ";")) ?? value.count
        while end > 0, value[end - 1] == UInt8(ascii: " ") || value[end - 1] == UInt8(ascii: "\t") { end -= 1 }
        let type = WireBytes(rebasing: value[..<end])
        if type.equalsIgnoringCase("application/grpc") || type.equalsIgnoringCase("application/grpc+proto") {
            self = .grpc
        } else if type.equalsIgnoringCase("application/x-protobuf") {
            self = .protobuf
        } else if type.equalsIgnoringCase("application/json") {
            self = .json
        } else if type.count > 16, WireBytes(rebasing: type[..<16]).equalsIgnoringCase("application/grpc") {
            self = .grpcOther
        } else {
            self = .other
        }
    }
}

extension Compression {
    /// Nil for a value that is no compression we know.
    init?(_ value: WireBytes?) {
        guard let value, !value.isEmpty else {
            self = .identity
            return
        }
        if value.equalsIgnoringCase("gzip") || value.equalsIgnoringCase("x-gzip") {
            self = .gzip
        } else if value.equalsIgnoringCase("identity") {
            self = .identity
        } else if value.equalsIgnoringCase("zstd") {
            self = .zstd
        } else if value.equalsIgnoringCase("deflate") {
            self = .deflate
        } else {
            return nil
        }
    }
}
