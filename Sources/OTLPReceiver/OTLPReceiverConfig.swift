import Configuration
import NIOCore

/// `receivers.otlp`: keys, defaults and meaning of the Go collector's OTLP receiver.
public struct OTLPReceiverConfig: Sendable {
    public var grpc: GRPCConfig?
    public var http: HTTPConfig?

    public struct GRPCConfig: Sendable {
        public var endpoint = Endpoint(host: "localhost", port: 4317)
        public var maxRecvMsgSizeMiB = 64
        public var maxConcurrentStreams = 100
        /// Connections without a request are closed after this.
        public var maxConnectionIdle = Duration.seconds(300)
        /// Clients may ping this often.
        public var keepaliveMinTime = Duration.seconds(10)
    }

    public struct HTTPConfig: Sendable {
        public var endpoint = Endpoint(host: "localhost", port: 4318)
        public var tracesURLPath = "/v1/traces"
        /// Bytes, as sent and also after decompression.
        public var maxRequestBodySize = 64 * 1024 * 1024
        public var compressions: Set<Compression> = Set(Compression.allCases)
        public var cors: CORSConfig?
        public var readHeaderTimeout = Duration.seconds(10)
        public var readTimeout = Duration.seconds(30)
        public var idleTimeout = Duration.seconds(300)
    }

    public init(from section: ConfigSection) {
        if let protocols = section.section("protocols") {
            grpc = protocols.section("grpc").map { GRPCConfig(from: $0) }
            http = protocols.section("http").map { HTTPConfig(from: $0) }
            if grpc == nil, http == nil { protocols.problem("needs at least one of grpc and http") }
            protocols.finish()
        } else {
            section.problem("protocols is missing; it needs at least one of grpc and http")
        }
        section.finish()
    }
}

extension OTLPReceiverConfig.GRPCConfig {
    init(from section: ConfigSection) {
        endpoint = section.endpoint("endpoint", default: endpoint)
        maxRecvMsgSizeMiB = section.int("max_recv_msg_size_mib", default: maxRecvMsgSizeMiB, in: 1...2047)
        maxConcurrentStreams = section.int("max_concurrent_streams", default: maxConcurrentStreams, in: 1...100_000)
        if let keepalive = section.section("keepalive") {
            if let server = keepalive.section("server_parameters") {
                maxConnectionIdle = server.duration("max_connection_idle", default: maxConnectionIdle)
                server.finish()
            }
            if let policy = keepalive.section("enforcement_policy") {
                keepaliveMinTime = policy.duration("min_time", default: keepaliveMinTime)
                policy.finish()
            }
            keepalive.finish()
        }
        section.finish()
    }
}

extension OTLPReceiverConfig.HTTPConfig {
    init(from section: ConfigSection) {
        endpoint = section.endpoint("endpoint", default: endpoint)
        tracesURLPath = section.string("traces_url_path", default: tracesURLPath)
        if !tracesURLPath.hasPrefix("/") { section.problem("must start with /", at: "traces_url_path") }
        maxRequestBodySize = section.int("max_request_body_size", default: maxRequestBodySize, in: 1...(2047 * 1024 * 1024))
        // The Go collector's list has "" for no compression.
        let names = section.strings("compression_algorithms", default: Compression.allCases.map(\.name))
        compressions = [.identity]
        for name in names where !name.isEmpty {
            if let known = Compression.allCases.first(where: { $0.name == name || (name == "zlib" && $0 == .deflate) }) {
                compressions.insert(known)
            } else {
                section.problem("\(name) is not supported; known are gzip, deflate, zlib, zstd", at: "compression_algorithms")
            }
        }
        readHeaderTimeout = section.duration("read_header_timeout", default: readHeaderTimeout)
        readTimeout = section.duration("read_timeout", default: readTimeout)
        idleTimeout = section.duration("idle_timeout", default: idleTimeout)
        cors = section.section("cors").map { CORSConfig(from: $0) }
        section.finish()
    }
}
