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

    init(routes: Routes, limits: RequestLimits, intake: TraceIntake, metrics: ReceiverMetrics) {
        self.routes = routes
        self.limits = limits
        self.intake = intake
        self.metrics = metrics
        answers = Answers(cors: routes.cors)
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
        case .exportTraces: result = export(request.body, kind)
        }
        switch result {
        case .success(let success): exchange.respond(answers.success(success, kind, origin: origin(request.head)))
        case .failure(let problem):
            metrics.count(problem, kind.transport)
            exchange.respond(answers.problem(problem, kind, origin: origin(request.head)))
        }
        metrics.transport(kind.transport).duration.observe(Double((NIODeadline.now() - start).nanoseconds) / 1e9)
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

    private func export(_ body: WireBytes, _ kind: RequestKind) -> Result<Answers.Success, RequestProblem> {
        let maxBytes = limits.bytesMax(kind.transport)
        do throws(RequestProblem) {
            var payload = body
            var compression = kind.compression
            if kind.transport == .grpc {
                let message = try Self.message(body, maxBytes: maxBytes)
                if message.isCompressed, compression == .identity { throw .compressedWithoutEncoding }
                payload = message.payload
                if !message.isCompressed { compression = .identity }
            }
            return .success(
                try intake.take(
                    payload, encoding: kind.encoding, compression: compression, maxBytes: maxBytes,
                    metrics: metrics.transport(kind.transport)))
        } catch {
            return .failure(error)
        }
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
