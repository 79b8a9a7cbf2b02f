import HTTPServer
import Logging
import NIOCore
import OTLPWire
import Pipeline
import SelfTelemetry

/// What a receiver's listeners may hold besides what the budget counts; each per event loop.
public struct ReceiverMemory: Sendable {
    /// Body buffers kept for the next request, bytes.
    public var bodyPoolBytesMax: Int
    /// Body bytes that come in within granted windows when the budget has no room.
    public var unreservedBytesMax: Int

    public init(bodyPoolBytesMax: Int, unreservedBytesMax: Int) {
        self.bodyPoolBytesMax = bodyPoolBytesMax
        self.unreservedBytesMax = unreservedBytesMax
    }
}

/// The `otlp` receiver: up to two listeners, each serving OTLP/gRPC and OTLP/HTTP, in front of one pipeline entry.
///
/// `@unchecked Sendable`: `servers` is written by `start` and read by `shutdown`, which the daemon calls one after the other.
public final class OTLPReceiver: Component, @unchecked Sendable {
    public let id: String
    private let config: OTLPReceiverConfig
    private let next: any Consumer<SpanBatch>
    private let group: any EventLoopGroup
    private let budget: MemoryBudget
    private let memory: ReceiverMemory?
    private let registry: MetricRegistry
    private let logger: Logger
    private var servers: [HTTPServer] = []

    public init(
        id: String, config: OTLPReceiverConfig, next: any Consumer<SpanBatch>, group: any EventLoopGroup, budget: MemoryBudget,
        memory: ReceiverMemory? = nil, registry: MetricRegistry, logger: Logger
    ) {
        self.id = id
        self.config = config
        self.next = next
        self.group = group
        self.budget = budget
        self.memory = memory
        self.registry = registry
        self.logger = logger
    }

    public var health: ComponentHealth {
        budget.isExhausted ? .degraded("the memory limit is reached: requests are refused until what waits is exported") : .ok
    }

    /// Where the listeners are, in the order gRPC, HTTP; for tests and log lines with port 0.
    public var localAddresses: [SocketAddress] { servers.map(\.localAddress) }

    public func start() async throws {
        let metrics = ReceiverMetrics(registry: registry, receiver: id)
        var routes = Routes()
        var limits = RequestLimits(
            grpcMessageBytesMax: (config.grpc?.maxRecvMsgSizeMiB ?? OTLPReceiverConfig.GRPCConfig().maxRecvMsgSizeMiB) << 20,
            httpBodyBytesMax: config.http?.maxRequestBodySize ?? OTLPReceiverConfig.HTTPConfig().maxRequestBodySize)
        let messageBytesMax = budget.currentLimits.messageBytesMax
        if messageBytesMax < max(limits.grpcMessageBytesMax, limits.httpBodyBytesMax) {
            logger.info("larger messages are refused, because of the memory limit", metadata: ["max_bytes": "\(messageBytesMax)"])
            limits.grpcMessageBytesMax = min(limits.grpcMessageBytesMax, messageBytesMax)
            limits.httpBodyBytesMax = min(limits.httpBodyBytesMax, messageBytesMax)
        }
        limits.decode.arenaBytesMax = 8 * max(limits.grpcMessageBytesMax, limits.httpBodyBytesMax)
        if let http = config.http {
            routes.tracesURLPath = Array(http.tracesURLPath.utf8)
            routes.httpCompressions = http.compressions
            routes.cors = http.cors
        }
        let settings = [config.grpc.map(Self.settings), config.http.map(Self.settings)].compactMap { $0 }
        for var setting in settings {
            if let memory {
                setting.limits.pooledBodyBytesMax = memory.bodyPoolBytesMax
                setting.limits.unreservedBytesMax = memory.unreservedBytesMax
            }
            let server = try await HTTPServer.start(
                group: group, settings: setting, budget: budget, registry: registry
            ) { [next, budget, routes, limits] _ in
                OTLPService(
                    routes: routes, limits: limits,
                    intake: TraceIntake(
                        next: next, budget: budget, limits: limits.decode, jsonBytesMax: limits.httpBodyBytesMax),
                    metrics: metrics)
            }
            servers.append(server)
        }
    }

    public func shutdown(deadline: ContinuousClock.Instant) async {
        let left = TimeAmount(max(deadline - .now, .zero))
        await withTaskGroup { group in
            for server in servers { group.addTask { await server.shutdown(within: left) } }
        }
        servers = []
    }

    private static func settings(_ config: OTLPReceiverConfig.GRPCConfig) -> HTTPServerSettings {
        var limits = HTTPLimits()
        limits.concurrentStreamsMax = config.maxConcurrentStreams
        limits.idleTimeout = TimeAmount(config.maxConnectionIdle)
        limits.pingIntervalMin = TimeAmount(config.keepaliveMinTime)
        return HTTPServerSettings(host: config.endpoint.host, port: config.endpoint.port, limits: limits)
    }

    private static func settings(_ config: OTLPReceiverConfig.HTTPConfig) -> HTTPServerSettings {
        var limits = HTTPLimits()
        limits.idleTimeout = TimeAmount(config.idleTimeout)
        limits.headerTimeout = TimeAmount(config.readHeaderTimeout)
        limits.bodyTimeout = TimeAmount(config.readTimeout)
        return HTTPServerSettings(host: config.endpoint.host, port: config.endpoint.port, limits: limits)
    }
}

extension MemoryBudget: HTTPByteBudget {}
