import NIOCore
import NIOPosix
import SelfTelemetry
import Synchronization
import Testing

@testable import HTTPServer

/// Requests a test holds back, and what the service has seen. Shared by the services of all event loops.
final class Desk: Sendable {
    struct Log {
        var begun = 0
        var handled = 0
        var failures: [HTTPFailure] = []
        var held: [(loop: any EventLoop, exchange: HTTPExchange)] = []
    }

    let log = Mutex(Log())

    var begun: Int { log.withLock { $0.begun } }
    var handled: Int { log.withLock { $0.handled } }
    var failures: [HTTPFailure] { log.withLock { $0.failures } }
    var heldCount: Int { log.withLock { $0.held.count } }

    /// Answers everything that is held, and returns once the answers were given.
    func releaseAll(_ text: String = "released") async throws {
        let held = log.withLock { log in
            defer { log.held = [] }
            return log.held
        }
        for (loop, exchange) in held {
            try await loop.submit { exchange.respond(HTTPResponse(status: 200, body: Array(text.utf8))) }.get()
        }
    }
}

/// Routes: `/echo` sends the body back, `/grpc` a fixed message with trailers, `/hold` waits for the desk, `/refuse` answers
/// 403 from the head alone, `/small` takes at most 1,000 bytes, `/hurry` has a timeout of 50 ms and is then held, `/twice`
/// answers two times, `/headers` lists what came.
final class TestService: HTTPService {
    enum Route: Int {
        case echo
        case grpc
        case hold
        case twice
        case headers
    }

    private let desk: Desk
    private var listing = ""
    private let refusal = HTTPResponse(status: 403, body: Array("refused".utf8))
    private let grpc = HTTPResponse(
        status: 200, headers: [("content-type", "application/grpc")], body: [0, 0, 0, 0, 0], trailers: [("grpc-status", "0")])

    private let eventLoop: any EventLoop

    init(_ desk: Desk, _ eventLoop: any EventLoop) {
        self.desk = desk
        self.eventLoop = eventLoop
    }

    func begin(_ head: borrowing HTTPRequestHead) -> HTTPAdmission {
        desk.log.withLock { $0.begun += 1 }
        let path = head.path
        let large = 64 << 20
        if path.equals("/echo") { return .receive(tag: Route.echo.rawValue, bodyBytesMax: large, timeout: nil) }
        if path.equals("/grpc") { return .receive(tag: Route.grpc.rawValue, bodyBytesMax: large, timeout: nil) }
        if path.equals("/hold") { return .receive(tag: Route.hold.rawValue, bodyBytesMax: large, timeout: nil) }
        if path.equals("/hurry") { return .receive(tag: Route.hold.rawValue, bodyBytesMax: large, timeout: .milliseconds(50)) }
        if path.equals("/twice") { return .receive(tag: Route.twice.rawValue, bodyBytesMax: large, timeout: nil) }
        if path.equals("/small") { return .receive(tag: Route.echo.rawValue, bodyBytesMax: 1000, timeout: nil) }
        if path.equals("/headers") {
            listing = "\(String(decoding: head.method, as: UTF8.self)) \(String(decoding: head.target, as: UTF8.self))\n"
            listing += "\(head.remoteAddress)\n"
            head.forEachHeader { name, value in
                listing += "\(String(decoding: name, as: UTF8.self))=\(String(decoding: value, as: UTF8.self))\n"
            }
            return .receive(tag: Route.headers.rawValue, bodyBytesMax: large, timeout: nil)
        }
        return .respond(refusal)
    }

    func handle(_ request: borrowing HTTPRequest, _ exchange: HTTPExchange) {
        desk.log.withLock { $0.handled += 1 }
        switch Route(rawValue: request.tag) {
        case .echo: exchange.respond(HTTPResponse(status: 200, headers: [("content-type", "text/plain")], body: request.body))
        case .grpc: exchange.respond(grpc)
        case .headers: exchange.respond(HTTPResponse(status: 200, body: Array(listing.utf8)))
        case .hold: desk.log.withLock { $0.held.append((self.eventLoop, exchange)) }
        case .twice:
            exchange.respond(HTTPResponse(status: 200, body: Array("first".utf8)))
            exchange.respond(HTTPResponse(status: 500, body: Array("second".utf8)))
        case nil: Issue.record("a tag that was never given")
        }
    }

    func failure(_ reason: HTTPFailure, tag: Int, head: borrowing HTTPRequestHead) -> HTTPResponse {
        desk.log.withLock { $0.failures.append(reason) }
        switch reason {
        case .bodyTooLarge: return HTTPResponse(status: 413)
        case .timeout: return HTTPResponse(status: 504)
        case .bodyTooSlow: return HTTPResponse(status: 408)
        case .overloaded: return HTTPResponse(status: 503, headers: [("retry-after", "1")])
        }
    }
}

/// A running server with its desk and budget.
struct TestServer {
    static let budgetBytes = 100 << 20

    let server: HTTPServer
    let desk: Desk
    let budget: FixedByteBudget
    let registry: MetricRegistry

    var port: Int { server.localAddress.port ?? 0 }

    func limitHits(_ limit: HTTPLimit) -> Int {
        registry.counter("collector_limit_hits_total", help: "", labels: [("limit", limit.rawValue)]).value
    }

    var openConnections: Int { registry.gauge("collector_http_open_connections", help: "").value }

    func client() throws -> RawClient { try RawClient(port: port) }
    func http2() throws -> HTTP2Client { try HTTP2Client(port: port) }

    /// Runs a server on a free port for the time of `body`, with deadlines looked at every 10 ms.
    static func run(
        budgetBytes: Int = budgetBytes, threads: Int = 1, limits adjust: (inout HTTPLimits) -> Void = { _ in },
        _ body: (TestServer) async throws -> Void
    ) async throws {
        var limits = HTTPLimits()
        limits.sweepInterval = .milliseconds(10)
        // Tests of these times set them; no other test is to race them on a busy machine.
        limits.headerTimeout = .minutes(2)
        limits.bodyTimeout = .minutes(2)
        adjust(&limits)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        let desk = Desk()
        let budget = FixedByteBudget(bytes: budgetBytes)
        let registry = MetricRegistry()
        let server = try await HTTPServer.start(
            group: group, settings: HTTPServerSettings(host: "127.0.0.1", port: 0, limits: limits), budget: budget,
            registry: registry
        ) { TestService(desk, $0) }
        let test = TestServer(server: server, desk: desk, budget: budget, registry: registry)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(test))
        } catch {
            result = .failure(error)
        }
        await server.shutdown(within: .milliseconds(50))
        try await desk.releaseAll()
        try await group.shutdownGracefully()
        #expect(budget.available == budgetBytes, "every reserved byte was given back")
        #expect(test.openConnections == 0)
        try result.get()
    }
}

/// Waits until the condition holds; fails the test after a minute: the test machine may be busy with everything else.
func eventually(_ what: Comment, _ condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while !(try condition()) {
        if ContinuousClock.now > deadline {
            Issue.record("never came true: \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(2))
    }
}
