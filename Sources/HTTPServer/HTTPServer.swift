import Glibc
import NIOCore
import NIOPosix
import SelfTelemetry

/// A listener that speaks HTTP/2 (prior knowledge) and HTTP/1.1 on one port.
///
/// Life: `start` binds and accepts; `shutdown` stops accepting, lets requests in flight finish and closes. Every event loop of
/// the group has its own service, pools and timer (`EventLoopState`); only the byte budget, the metrics and the count of
/// connections are shared.
public final class HTTPServer: Sendable {
    /// Where it listens; the port is the real one when 0 was asked for.
    public let localAddress: SocketAddress
    private let listener: any Channel
    private let loops: [NIOLoopBound<EventLoopState>]
    private let timers: [RepeatedTask]

    /// Connections the kernel holds before they are accepted.
    private static let backlog: CInt = 1024
    /// Reads from one connection before the others have their turn.
    private static let readsPerTurn: UInt = 4

    /// Read buffer a connection starts with, bytes: a hundred small requests on one connection fit.
    private static let receiveBufferBytesInitial = 8192

    private init(listener: any Channel, address: SocketAddress, loops: [NIOLoopBound<EventLoopState>], timers: [RepeatedTask]) {
        self.listener = listener
        localAddress = address
        self.loops = loops
        self.timers = timers
    }

    /// Starts listening.
    ///
    /// - Parameters:
    ///   - group: its event loops carry all I/O and all calls of the services.
    ///   - budget: bounds the bytes of bodies in memory; usually shared with other listeners.
    ///   - makeService: called once per event loop, on it.
    public static func start(
        group: any EventLoopGroup, settings: HTTPServerSettings, budget: any HTTPByteBudget, registry: MetricRegistry,
        makeService: @escaping @Sendable (any EventLoop) -> any HTTPService
    ) async throws(HTTPServerStartError) -> HTTPServer {
        let limits = settings.limits
        let metrics = HTTPServerMetrics(registry)
        let census = ConnectionCensus(limits)
        do {
            var states: [NIOLoopBound<EventLoopState>] = []
            for loop in group.makeIterator() {
                let state = try await loop.submit {
                    let service = makeService(loop)
                    let state = EventLoopState(eventLoop: loop, service: service, limits: limits, budget: budget, metrics: metrics)
                    return NIOLoopBound(state, eventLoop: loop)
                }.get()
                states.append(state)
            }
            let loops = states
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: backlog)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.maxMessagesPerRead, value: readsPerTurn)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelOption(.recvAllocator, value: receiveAllocator(limits))
                .childChannelInitializer { channel in accept(channel, loops, census, metrics) }
                .bind(host: listeningHost(settings.host), port: settings.port).get()
            guard let address = listener.localAddress else { throw ChannelError.unknownLocalAddress }
            let timers = loops.map { bound in
                bound.eventLoop.scheduleRepeatedTask(initialDelay: limits.sweepInterval, delay: limits.sweepInterval) { _ in
                    bound.value.sweep()
                }
            }
            return HTTPServer(listener: listener, address: address, loops: loops, timers: timers)
        } catch {
            throw HTTPServerStartError(host: settings.host, port: settings.port, cause: error)
        }
    }

    /// Read buffers grow with what a connection sends: each keeps its own, so a thousand quiet ones must not hold large ones.
    private static func receiveAllocator(_ limits: HTTPLimits) -> any RecvByteBufferAllocator {
        let largest = max(limits.receiveBufferBytes, receiveBufferBytesInitial)
        return AdaptiveRecvByteBufferAllocator(
            minimum: receiveBufferBytesInitial, initial: receiveBufferBytesInitial, maximum: largest)
    }

    /// As the Go collector: no host means every interface, and `localhost` the IPv4 loopback, which clients that resolve the
    /// name try as well (a listener has one address, and many machines resolve the name to `::1` first).
    private static func listeningHost(_ host: String) -> String {
        switch host {
        case "": "0.0.0.0"
        case "localhost": "127.0.0.1"
        default: host
        }
    }

    /// Readies an accepted connection, or closes it when there are too many.
    private static func accept(
        _ channel: any Channel, _ loops: [NIOLoopBound<EventLoopState>], _ census: ConnectionCensus, _ metrics: HTTPServerMetrics
    ) -> EventLoopFuture<Void> {
        let address = channel.remoteAddress?.ipAddress ?? ""
        if let limit = census.enter(address) {
            metrics.hit(limit)
            return channel.close()
        }
        channel.closeFuture.whenComplete { _ in census.leave(address) }
        return channel.eventLoop.makeCompletedFuture {
            guard let state = loops.first(where: { $0.eventLoop === channel.eventLoop }) else {
                preconditionFailure("a connection lives on an event loop of the listener's group")
            }
            try channel.pipeline.syncOperations.addHandler(ProtocolDetector(loop: state.value))
        }
    }

    /// Stops accepting, says goodbye (GOAWAY, `connection: close`), lets requests in flight finish, and closes what is left
    /// when `deadline` has passed. Returns when every connection is closed.
    public func shutdown(within deadline: TimeAmount) async {
        // An error here means that the listener is closed already.
        try? await listener.close().get()
        await withTaskGroup(of: Void.self) { group in
            for bound in loops {
                group.addTask { await Self.drain(bound, within: deadline) }
            }
        }
        for timer in timers { timer.cancel() }
    }

    private static func drain(_ bound: NIOLoopBound<EventLoopState>, within deadline: TimeAmount) async {
        let drained = bound.eventLoop.flatSubmit {
            let overdue = bound.eventLoop.scheduleTask(in: deadline) { bound.value.closeAll() }
            return bound.value.drain().always { _ in overdue.cancel() }
        }
        // Fails only when the event loop has ended, and its connections with it.
        try? await drained.get()
    }
}

/// Why a listener could not start. The text is for the operator.
public struct HTTPServerStartError: Error, CustomStringConvertible {
    public var host: String
    public var port: Int
    public var cause: any Error

    public var description: String {
        let reason = (cause as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(cause)"
        return "cannot listen on \(host):\(port): \(reason)"
    }
}
