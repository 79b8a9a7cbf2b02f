import SelfTelemetry

/// The Go collector's receiver metrics, and ours, for one receiver.
final class ReceiverMetrics: Sendable {
    struct Transport: Sendable {
        let acceptedSpans: Counter
        let refusedSpans: Counter
        let failedSpans: Counter
        let failedRequests: Counter
        let duration: Histogram
        let attributeLimitHits: Counter
    }

    private let grpc: Transport
    private let http: Transport
    private let limitHits: [String: Counter]

    init(registry: MetricRegistry, receiver: String) {
        func transport(_ name: String) -> Transport {
            let labels = [(name: "receiver", value: receiver), (name: "transport", value: name)]
            return Transport(
                acceptedSpans: registry.counter(
                    "otelcol_receiver_accepted_spans_total", help: "Spans taken over by the pipeline.", labels: labels),
                refusedSpans: registry.counter(
                    "otelcol_receiver_refused_spans_total", help: "Spans not taken: invalid, or no room.", labels: labels),
                failedSpans: registry.counter(
                    "otelcol_receiver_failed_spans_total", help: "Spans that the pipeline refused for good.", labels: labels),
                failedRequests: registry.counter(
                    "collector_receiver_failed_requests_total", help: "Requests answered with an error.", labels: labels),
                duration: registry.histogram(
                    "collector_request_duration_seconds", help: "Time from the complete request to its answer.",
                    labels: [(name: "transport", value: name)], bounds: Histogram.durationBounds),
                attributeLimitHits: Self.limit("attributes_per_span", registry))
        }
        grpc = transport("grpc")
        http = transport("http")
        limitHits = Dictionary(
            uniqueKeysWithValues: ["message_bytes", "nesting", "spans_per_request", "arena_bytes", "memory"].map {
                ($0, Self.limit($0, registry))
            })
    }

    private static func limit(_ name: String, _ registry: MetricRegistry) -> Counter {
        registry.counter("collector_limit_hits_total", help: "Times a limit was reached.", labels: [(name: "limit", value: name)])
    }

    func transport(_ transport: RequestKind.Transport) -> Transport {
        transport == .grpc ? grpc : http
    }

    /// Counts a request that is answered with an error, and the limit behind it if there is one.
    func count(_ problem: RequestProblem, _ transport: RequestKind.Transport) {
        self.transport(transport).failedRequests.add()
        switch problem {
        case .messageTooLarge, .framing(.tooLarge): limitHits["message_bytes"]?.add()
        case .nestedTooDeep: limitHits["nesting"]?.add()
        case .tooManySpans: limitHits["spans_per_request"]?.add()
        case .expandsTooMuch: limitHits["arena_bytes"]?.add()
        case .overloaded, .refused(.memoryLimit, _): limitHits["memory"]?.add()
        default: break
        }
    }
}
