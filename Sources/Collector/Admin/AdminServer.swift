import Configuration
import HTTPServer
import NIOCore
import SelfTelemetry

/// A document that is made anew for each request.
struct AdminPage: Sendable {
    let path: String
    let contentType: String
    let render: @Sendable () -> (status: Int, body: String)
}

/// Serves a few small documents to probes and scrapers, apart from the data's listeners.
struct AdminServer: Sendable {
    private let server: HTTPServer

    /// Its requests and connections are not counted: the metrics of the HTTP server are about data.
    ///
    /// Throws `HTTPServerStartError` when the address cannot be used.
    static func start(
        _ page: AdminPage, at endpoint: Endpoint, group: any EventLoopGroup
    ) async throws -> AdminServer {
        var limits = HTTPLimits()
        limits.connectionsMax = CollectorLimits.adminConnectionsMax
        let server = try await HTTPServer.start(
            group: group, settings: HTTPServerSettings(host: endpoint.host, port: endpoint.port, limits: limits),
            budget: FixedByteBudget(bytes: CollectorLimits.adminConnectionsMax * CollectorLimits.adminBodyBytesMax),
            registry: MetricRegistry()
        ) { _ in AdminService(page) }
        return AdminServer(server: server)
    }

    var localAddress: SocketAddress { server.localAddress }

    func shutdown() async {
        await server.shutdown(within: TimeAmount(CollectorLimits.adminShutdown))
    }
}

/// Answers GET and HEAD of one path.
private final class AdminService: HTTPService {
    private let page: AdminPage
    private let path: [UInt8]

    init(_ page: AdminPage) {
        self.page = page
        path = Array(page.path.utf8)
    }

    func begin(_ head: borrowing HTTPRequestHead) -> HTTPAdmission {
        guard head.path.elementsEqual(path) else { return .respond(Self.text(404, "not found\n")) }
        guard head.method.equals("GET") || head.method.equals("HEAD") else { return .respond(Self.text(405, "use GET\n")) }
        return .receive(tag: 0, bodyBytesMax: CollectorLimits.adminBodyBytesMax, timeout: nil)
    }

    func handle(_ request: borrowing HTTPRequest, _ exchange: HTTPExchange) {
        let (status, body) = page.render()
        exchange.respond(HTTPResponse(status: status, headers: [("content-type", page.contentType)], body: Array(body.utf8)))
    }

    func failure(_ reason: HTTPFailure, tag: Int, head: borrowing HTTPRequestHead) -> HTTPResponse {
        switch reason {
        case .bodyTooLarge: Self.text(413, "no body is needed\n")
        case .timeout, .bodyTooSlow: Self.text(408, "too slow\n")
        case .overloaded: Self.text(503, "overloaded\n")
        }
    }

    private static func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("content-type", "text/plain; charset=utf-8")], body: Array(text.utf8))
    }
}
