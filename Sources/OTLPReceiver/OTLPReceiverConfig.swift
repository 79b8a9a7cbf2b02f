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

    /// A listening address.
    public struct Endpoint: Sendable, Equatable, CustomStringConvertible {
        public var host: String
        public var port: Int

        public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        /// `host:port`, `:port` (all addresses), `[v6]:port`; nil for anything else.
        public init?(_ text: String) {
            guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port) else {
                return nil
            }
            var host = String(text[..<colon])
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = String(host.dropFirst().dropLast())
            } else if host.contains(":") {
                return nil
            }
            self.init(host: host.isEmpty ? "0.0.0.0" : host, port: port)
        }
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
        endpoint = OTLPReceiverConfig.endpoint(section, default: endpoint)
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
        endpoint = OTLPReceiverConfig.endpoint(section, default: endpoint)
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

extension OTLPReceiverConfig {
    fileprivate static func endpoint(_ section: ConfigSection, default fallback: Endpoint) -> Endpoint {
        let text = section.string("endpoint", default: fallback.description)
        if let endpoint = Endpoint(text) { return endpoint }
        section.problem("must be host:port", at: "endpoint")
        return fallback
    }
}
