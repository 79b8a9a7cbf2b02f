import SelfTelemetry

/// The limits that can be hit at the front door: label `limit` of `collector_limit_hits_total`.
enum HTTPLimit: String, CaseIterable {
    case connections
    case connectionsPerAddress = "connections_per_address"
    case idle
    case headerTimeout = "header_timeout"
    case headerBytes = "header_bytes"
    case bodyBytes = "body_bytes"
    case bodyRate = "body_rate"
    case requestTimeout = "request_timeout"
    case pipelining
    case byteBudget = "byte_budget"
    case writeStall = "write_stall"
    case abandonedRequests = "abandoned_requests"
    case pings
    case streamResets = "stream_resets"
    case streamErrors = "stream_errors"
    case settings
    case controlFrames = "control_frames"
}

/// Instruments of all listeners, asked for once. Request counters are per transport and code and looked up by index.
final class HTTPServerMetrics: Sendable {
    let openConnections: Gauge
    private let limitHits: [HTTPLimit: Counter]
    private let registry: MetricRegistry

    init(_ registry: MetricRegistry) {
        self.registry = registry
        openConnections = registry.gauge("collector_http_open_connections", help: "Client connections that are open.")
        limitHits = Dictionary(
            uniqueKeysWithValues: HTTPLimit.allCases.map { limit in
                let help = "Requests or connections refused or ended because of a limit."
                return (limit, registry.counter("collector_limit_hits_total", help: help, labels: [("limit", limit.rawValue)]))
            })
    }

    func hit(_ limit: HTTPLimit) {
        limitHits[limit]?.add()
    }

    fileprivate func requestCounter(isGRPC: Bool, code: Int) -> Counter {
        registry.counter(
            "collector_http_requests_total", help: "Requests answered, by transport and gRPC or HTTP status code.",
            labels: [("transport", isGRPC ? "grpc" : "http"), ("code", "\(code)")])
    }
}

/// The request counters one event loop has used so far.
struct RequestCounters {
    /// Codes that have a place: HTTP statuses are below 600, gRPC codes below 17.
    private static let codes = 600
    private var known = [Counter?](repeating: nil, count: 2 * codes)

    mutating func count(_ response: HTTPResponse, _ metrics: HTTPServerMetrics) {
        guard (0..<Self.codes).contains(response.countedCode) else { return }
        let index = response.countedCode + (response.isGRPC ? Self.codes : 0)
        if let counter = known[index] { return counter.add() }
        let counter = metrics.requestCounter(isGRPC: response.isGRPC, code: response.countedCode)
        known[index] = counter
        counter.add()
    }
}
