import HTTPServer
import NIOCore
import OTLPWire
import Pipeline

/// Limits of one listener's requests.
struct RequestLimits: Sendable {
    /// Bytes of a gRPC message, also after decompression.
    var grpcMessageBytesMax: Int
    /// Bytes of an HTTP body, also after decompression.
    var httpBodyBytesMax: Int
    var decode = DecodeLimits()

    func bytesMax(_ transport: RequestKind.Transport) -> Int {
        transport == .grpc ? grpcMessageBytesMax : httpBodyBytesMax
    }
}

/// OTLP over gRPC and HTTP for one event loop: reads the request's head, then its body, and answers. Both transports are
/// served on every listener.
final class OTLPService: HTTPService {
    private let routes: Routes
    private let limits: RequestLimits
    private let intake: TraceIntake
    private let answers: Answers
    private let metrics: ReceiverMetrics
    private let mailbox: LogMailbox

    init(routes: Routes, limits: RequestLimits, intake: TraceIntake, metrics: ReceiverMetrics, loop: any EventLoop) {
        self.routes = routes
        self.limits = limits
        self.intake = intake
        self.metrics = metrics
        let answers = Answers(cors: routes.cors)
        self.answers = answers
        mailbox = LogMailbox(loop: loop) { waiting, outcome in
            Self.finish(waiting, outcome, intake: intake, answers: answers, metrics: metrics)
        }
    }

    func begin(_ head: borrowing HTTPRequestHead) -> HTTPAdmission {
        switch routes.route(head) {
        case .preflight:
            return .respond(answers.preflight(origin: head.header("origin")))
        case .refuse(let problem, let kind):
            return .respond(answers.problem(problem, kind, origin: head.header("origin")))
        case .take(let kind):
            let prefix = kind.transport == .grpc ? GRPCMessage.prefixBytes : 0
            var timeout: TimeAmount?
            if kind.transport == .grpc, let value = head.header("grpc-timeout"), let duration = GRPCTimeout.parse(value) {
                timeout = .nanoseconds(duration.clampedNanoseconds)
            }
            return .receive(tag: kind.tag, bodyBytesMax: limits.bytesMax(kind.transport) + prefix, timeout: timeout)
        }
    }

    func handle(_ request: borrowing HTTPRequest, _ exchange: HTTPExchange) {
        let kind = RequestKind(tag: request.tag)
        let start = NIODeadline.now()
        let result: Result<Answers.Success, RequestProblem>
        switch kind.operation {
        case .checkHealth: result = checkHealth(request.body)
        case .exportTraces:
            do throws(RequestProblem) {
                let decoded = try read(request.body, kind)
                if intake.isDurable, decoded.batch.spanCount > 0 {
                    let origin = origin(request.head).map { Array($0) }
                    let ticket = mailbox.park(
                        WaitingRequest(
                            exchange: exchange, kind: kind, origin: origin, batch: decoded.batch, success: decoded.success,
                            copy: decoded.copy, arrival: start))
                    intake.append(decoded) { [mailbox] outcome in mailbox.post(ticket, outcome) }
                    return
                }
                result = .success(try intake.consume(decoded, metrics: metrics.transport(kind.transport)))
            } catch {
                result = .failure(error)
            }
        }
        switch result {
        case .success(let success): exchange.respond(answers.success(success, kind, origin: origin(request.head)))
        case .failure(let problem):
            metrics.count(problem, kind.transport)
            exchange.respond(answers.problem(problem, kind, origin: origin(request.head)))
        }
        metrics.transport(kind.transport).duration.observe(Self.seconds(since: start))
    }

    private static func seconds(since start: NIODeadline) -> Double { Double((NIODeadline.now() - start).nanoseconds) / 1e9 }

    /// The log has answered. On the event loop.
    private static func finish(
        _ waiting: WaitingRequest, _ outcome: AppendOutcome, intake: TraceIntake, answers: Answers, metrics: ReceiverMetrics
    ) {
        let kind = waiting.kind
        let transport = metrics.transport(kind.transport)
        let response: HTTPResponse
        do throws(RequestProblem) {
            try intake.finish(waiting, outcome, metrics: transport)
            response = withOrigin(waiting) { answers.success(waiting.success, kind, origin: $0) }
        } catch {
            metrics.count(error, kind.transport)
            response = withOrigin(waiting) { answers.problem(error, kind, origin: $0) }
        }
        waiting.exchange.respond(response)
        transport.duration.observe(seconds(since: waiting.arrival))
    }

    private static func withOrigin(_ waiting: WaitingRequest, _ body: (WireBytes?) -> HTTPResponse) -> HTTPResponse {
        guard let origin = waiting.origin else { return body(nil) }
        return origin.withUnsafeBytes { body($0) }
    }

    func failure(_ reason: HTTPFailure, tag: Int, head: borrowing HTTPRequestHead) -> HTTPResponse {
        let kind = RequestKind(tag: tag)
        let problem: RequestProblem
        switch reason {
        case .bodyTooLarge: problem = .messageTooLarge(maxBytes: limits.bytesMax(kind.transport))
        case .timeout: problem = .deadlineExceeded
        case .bodyTooSlow: problem = .tooSlow
        case .overloaded: problem = .overloaded
        }
        metrics.count(problem, kind.transport)
        return answers.problem(problem, kind, origin: origin(head))
    }

    /// Only looked for when it can matter.
    private func origin(_ head: borrowing HTTPRequestHead) -> WireBytes? {
        routes.cors == nil ? nil : head.header("origin")
    }

    private func read(_ body: WireBytes, _ kind: RequestKind) throws(RequestProblem) -> TraceIntake.Decoded {
        let maxBytes = limits.bytesMax(kind.transport)
        var payload = body
        var compression = kind.compression
        if kind.transport == .grpc {
            let message = try Self.message(body, maxBytes: maxBytes)
            if message.isCompressed, compression == .identity { throw .compressedWithoutEncoding }
            payload = message.payload
            if !message.isCompressed { compression = .identity }
        }
        return try intake.read(payload, encoding: kind.encoding, compression: compression, maxBytes: maxBytes)
    }

    private static func message(_ body: WireBytes, maxBytes: Int) throws(RequestProblem) -> GRPCMessage {
        do {
            return try GRPCMessage(body: body, maxBytes: maxBytes)
        } catch {
            throw error == .tooLarge ? .messageTooLarge(maxBytes: maxBytes) : .framing(error)
        }
    }

    private func checkHealth(_ body: WireBytes) -> Result<Answers.Success, RequestProblem> {
        do {
            let message = try GRPCMessage(body: body, maxBytes: limits.grpcMessageBytesMax)
            guard let service = HealthCheck.service(message.payload) else { return .failure(.malformed) }
            guard service.isEmpty || service.matches(Routes.traceService) else { return .failure(.unknownHealthService) }
            return .success(.health(isServing: intake.isServing))
        } catch {
            return .failure(.framing(error))
        }
    }
}

extension Duration {
    /// For timers: never overflows, at most about 292 years.
    fileprivate var clampedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
    }
}
