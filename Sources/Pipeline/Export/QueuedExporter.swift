import Dispatch
import Logging
import SelfTelemetry
import Synchronization

/// The exporter's half that is the same for all destinations: bounded queue, worker threads, retry, metrics, health.
/// What is particular is a `BatchWriter`, one per worker.
public final class QueuedExporter<Batch: TelemetryBatch>: Consumer, Component {
    public let id: String
    private let queue: BoundedQueue<Batch>
    private let retry: RetryConfig
    private let metrics: ExporterMetrics
    private let logger: Logger
    private let makeWriter: @Sendable (_ worker: Int) -> any BatchWriter<Batch>
    private let workerCount: Int
    private let workers = DispatchGroup()
    private let cancellation = Cancellation()
    private let isStopping = Atomic<Bool>(false)
    /// Why the last attempt failed, cleared by the next success.
    private let trouble = Mutex<ExportProblem?>(nil)

    /// - Parameter itemName: `spans`, `metric_points` or `log_records`, as the metric names have it.
    public init(
        id: String, itemName: String, queue: ExportQueueConfig, retry: RetryConfig, registry: MetricRegistry, logger: Logger,
        makeWriter: @escaping @Sendable (_ worker: Int) -> any BatchWriter<Batch>
    ) {
        self.id = id
        self.retry = retry
        self.logger = logger
        self.makeWriter = makeWriter
        self.queue = BoundedQueue(capacity: queue.queueSize)
        workerCount = queue.numConsumers
        metrics = ExporterMetrics(registry: registry, exporter: id, items: itemName)
        let labels = [(name: "exporter", value: id)]
        registry.observe("otelcol_exporter_queue_size", help: "Batches queued.", labels: labels) { [queue = self.queue] in
            Double(queue.count)
        }
        registry.observe("otelcol_exporter_queue_capacity", help: "Batches the queue holds.", labels: labels) {
            Double(queue.queueSize)
        }
    }

    public var health: ComponentHealth {
        trouble.withLock { $0 }.map { .degraded($0.description) } ?? .ok
    }

    public var admission: Outcome {
        if isStopping.load(ordering: .relaxed) { return .retryable(.shuttingDown, after: nil) }
        return queue.isFull ? .retryable(.queueFull, after: nil) : .accepted
    }

    public func consume(_ batch: Batch) -> Outcome {
        guard let rejected = queue.push(batch) else { return .accepted }
        metrics.enqueueFailed.add(rejected.itemCount)
        return .retryable(isStopping.load(ordering: .relaxed) ? .shuttingDown : .queueFull, after: nil)
    }

    public func start() async throws {
        for worker in 0..<workerCount {
            DispatchQueue(label: "\(id)-\(worker)").async(group: workers) { self.work(worker) }
        }
    }

    private func work(_ worker: Int) {
        let writer = makeWriter(worker)
        while let batch = queue.pop() { export(batch, with: writer) }
        writer.close()
    }

    /// Tries until the batch is written, given up, or the exporter's time is over.
    private func export(_ batch: Batch, with writer: any BatchWriter<Batch>) {
        var retryState = RetryState(config: retry, now: .now)
        while true {
            switch attempt(batch, with: writer) {
            case .written:
                metrics.sent.add(batch.itemCount)
                if trouble.withLock({ let had = $0 != nil; $0 = nil; return had }) { logger.info("exporting again") }
                return
            case .permanent(let problem, let lostItems):
                metrics.sent.add(batch.itemCount - lostItems)
                giveUp(lostItems, problem)
                return
            case .retryable(let problem, let after):
                trouble.withLock { $0 = problem }
                let wait = retryState.nextWait(now: .now, random: .random(in: 0..<1), after: after)
                guard let wait, !cancellation.isCancelled else { return giveUp(batch.itemCount, problem) }
                logger.warning(
                    "export failed, will try again",
                    metadata: ["reason": "\(problem)", "spans": "\(batch.itemCount)", "wait": "\(wait)"])
                _ = cancellation.wait(wait)
            }
        }
    }

    private func attempt(_ batch: Batch, with writer: any BatchWriter<Batch>) -> WriteOutcome {
        metrics.inFlight.add(1)
        defer { metrics.inFlight.add(-1) }
        let start = ContinuousClock.now
        let outcome = writer.write(batch, cancellation: cancellation)
        metrics.duration.observe((ContinuousClock.now - start) / .seconds(1))
        return outcome
    }

    private func giveUp(_ items: Int, _ problem: ExportProblem) {
        metrics.sendFailed.add(items)
        logger.error("export given up, data is lost", metadata: ["reason": "\(problem)", "items": "\(items)"])
    }

    /// Lets the workers empty the queue until `deadline`; then breaks off what blocks, and what is left is lost and counted.
    public func shutdown(deadline: ContinuousClock.Instant) async {
        isStopping.store(true, ordering: .relaxed)
        queue.close()
        let watchdog = Task { [cancellation] in
            try? await Task.sleep(until: deadline, clock: .continuous)
            if !Task.isCancelled { cancellation.cancel() }
        }
        await withCheckedContinuation { done in
            workers.notify(queue: .global()) { done.resume() }
        }
        watchdog.cancel()
    }
}
