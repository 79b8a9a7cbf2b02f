import Configuration
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// A request to a running collector over a connection of its own.
enum AdminClient {
    struct Answer: Sendable {
        let status: Int
        let body: String
    }

    enum Failure: Error, CustomStringConvertible {
        case connection(String)
        case closedEarly
        case tooLarge
        case timeout

        var description: String {
            switch self {
            case .connection(let reason): reason
            case .closedEarly: "the connection was closed before the answer"
            case .tooLarge: "the answer is too large"
            case .timeout: "it took too long"
            }
        }
    }

    static func get(_ path: String, from endpoint: Endpoint, timeout: Duration) async throws -> Answer {
        try await send(.GET, path, [:], body: [], to: endpoint, timeout: timeout)
    }

    static func postJSON(_ body: [UInt8], _ path: String, to endpoint: Endpoint, timeout: Duration) async throws -> Answer {
        let headers: HTTPHeaders = ["content-type": "application/json", "content-length": "\(body.count)"]
        return try await send(.POST, path, headers, body: body, to: endpoint, timeout: timeout)
    }

    private static func send(
        _ method: HTTPMethod, _ path: String, _ headers: HTTPHeaders, body: [UInt8], to endpoint: Endpoint, timeout: Duration
    ) async throws -> Answer {
        let group = MultiThreadedEventLoopGroup.singleton
        let promise = group.next().makePromise(of: Answer.self)
        let deadline = promise.futureResult.eventLoop.scheduleTask(in: TimeAmount(timeout)) { promise.fail(Failure.timeout) }
        defer { deadline.cancel() }
        let connected = ClientBootstrap(group: group)
            .connectTimeout(TimeAmount(timeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(AnswerCollector(promise))
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
        connected.whenFailure { promise.fail(Failure.connection(reason($0))) }
        connected.whenSuccess { channel in
            var headers = headers
            headers.add(contentsOf: ["host": "\(endpoint)", "connection": "close"])
            let head = HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
            channel.write(HTTPClientRequestPart.head(head), promise: nil)
            if !body.isEmpty { channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil) }
            channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        }
        return try await promise.futureResult.get()
    }

    private static func reason(_ error: any Error) -> String {
        let cause = (error as? NIOConnectionError)?.connectionErrors.first?.error ?? error
        guard let failed = cause as? IOError else { return "\(cause)" }
        return strerror(failed.errnoCode).map { String(cString: $0) } ?? "error \(failed.errnoCode)"
    }
}

private final class AnswerCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<AdminClient.Answer>
    private var status = 0
    private var body: [UInt8] = []

    init(_ promise: EventLoopPromise<AdminClient.Answer>) {
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(let bytes):
            guard body.count + bytes.readableBytes <= CollectorLimits.adminAnswerBytesMax else {
                promise.fail(AdminClient.Failure.tooLarge)
                context.close(promise: nil)
                return
            }
            body.append(contentsOf: bytes.readableBytesView)
        case .end:
            promise.succeed(AdminClient.Answer(status: status, body: String(decoding: body, as: UTF8.self)))
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(AdminClient.Failure.closedEarly)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(AdminClient.Failure.connection("\(error)"))
        context.close(promise: nil)
    }
}
