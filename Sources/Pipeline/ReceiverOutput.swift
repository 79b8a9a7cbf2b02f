import OTLPWire
import Synchronization

/// What a receiver hands its requests to: the entries of the pipelines it feeds, behind the write-ahead log where there is one.
///
/// Without the log a request is answered as the pipelines take it: all or none (`FanOut`). With the log it is appended, and handed on
/// only when it is durable: otherwise a crash after the export and before the answer would store what the client sends again twice.
public final class ReceiverOutput: Sendable {
    /// The receiver's id: a request in the log says where it came from, so that a replay reaches the same pipelines.
    public let receiver: String
    public let log: WriteAheadLog?
    private let route: Mutex<Route>

    private struct Route {
        var fed: [PipelineEntry]
        var next: any Consumer<SpanBatch>
        /// Readers of pipelines that this receiver does not feed: they are done with its requests from the start.
        var bystanders: [Int]
        var rewriter: (any RequestRewriter)?
    }

    public init(
        receiver: String, entries: [PipelineEntry], log: WriteAheadLog?, bystanders: [Int] = [], rewriter: (any RequestRewriter)? = nil
    ) {
        self.receiver = receiver
        self.log = log
        route = Mutex(Route(fed: entries, next: FanOut<SpanBatch>.make(entries), bystanders: bystanders, rewriter: rewriter))
    }

    /// Feeds other pipelines from the next request on.
    public func replaceEntries(_ entries: [PipelineEntry], bystanders: [Int] = [], rewriter: (any RequestRewriter)? = nil) {
        let new = Route(fed: entries, next: FanOut<SpanBatch>.make(entries), bystanders: bystanders, rewriter: rewriter)
        route.withLock { $0 = new }
    }

    /// What requests go through before they are appended; nil without the log.
    public var rewriter: (any RequestRewriter)? { log == nil ? nil : route.withLock { $0.rewriter } }

    /// What a request would most likely be answered now.
    public var admission: Outcome { log?.admission ?? route.withLock { $0.next }.admission }

    /// Without the log.
    public func consume(_ batch: TraceBatch) -> Outcome { route.withLock { $0.next }.consume(SpanBatch(batch)) }

    /// With the log, once the request is durable.
    public func deliver(_ batch: TraceBatch, sequence: UInt64) {
        let (fed, bystanders) = route.withLock { ($0.fed, $0.bystanders) }
        for entry in fed { entry.deliver(batch, sequence: sequence) }
        // Taken and let go: released.
        for reader in bystanders { _ = log?.take(sequence, reader: reader) }
    }
}
