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
    private let loss: InternalEvent
    private let makeWriter: @Sendable (_ worker: Int) -> any BatchWriter<Batch>
    private let queueSize: Int
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
        queueSize = queue.queueSize
        self.queue = BoundedQueue(capacity: queue.queueSize + PipelineLimits.admissionReserve)
        workerCount = queue.numConsumers
        metrics = ExporterMetrics(registry: registry, exporter: id, items: itemName)
        loss = InternalEvent(counter: metrics.sendFailed, logger: logger, level: .error, message: "export given up, data is lost")
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
        return queue.count >= queueSize ? .retryable(.queueFull, after: nil) : .accepted
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
        var problem = Self.outOfTime
        while !cancellation.isCancelled {
            switch attempt(batch, with: writer) {
            case .written:
                metrics.sent.add(batch.itemCount)
                recovered()
                return
            case .permanent(let problem, let lostItems):
                metrics.sent.add(batch.itemCount - lostItems)
                if lostItems < batch.itemCount { recovered() } else { trouble.withLock { $0 = problem } }
                if lostItems > 0 { giveUp(lostItems, problem) }
                return
            case .retryable(let reason, let after):
                problem = reason
                trouble.withLock { $0 = reason }
                let wait = retryState.nextWait(now: .now, random: .random(in: 0..<1), after: after)
                guard let wait else { return giveUp(batch.itemCount, reason) }
                if cancellation.isCancelled { continue }
                logger.warning(
                    "export failed, will try again",
                    metadata: ["reason": "\(reason)", "items": "\(batch.itemCount)", "wait": "\(wait)"])
                _ = cancellation.wait(wait)
            }
        }
        giveUp(batch.itemCount, problem)
    }

    /// What is lost when the time of `shutdown` ends before the batch was tried.
    private static var outOfTime: ExportProblem { ExportProblem(kind: "shutdown", "the time to shut down was over") }

    /// The destination has taken something.
    private func recovered() {
        let hadTrouble = trouble.withLock { trouble in
            defer { trouble = nil }
            return trouble != nil
        }
        if hadTrouble { logger.info("exporting again") }
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
        loss.emit(items, metadata: ["reason": "\(problem)"])
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
        // Only when the exporter was never started.
        while let batch = queue.pop() { giveUp(batch.itemCount, Self.outOfTime) }
    }
}
