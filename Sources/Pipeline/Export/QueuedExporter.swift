import Dispatch
import Logging
import SelfTelemetry
import Synchronization

/// The exporter's half that is the same for all destinations: bounded queue, worker threads, retry, circuit breaker, metrics, health.
/// What is particular is a `BatchWriter`, one per worker.
public final class QueuedExporter<Batch: TelemetryBatch>: RetiringStage {
    public let id: String
    private let queue: BoundedQueue<Batch>
    private let retry: RetryConfig
    private let circuit: CircuitGate
    private let metrics: ExporterMetrics
    private let failures: ExportFailures
    private let logger: Logger
    private let loss: InternalEvent
    private let makeWriter: @Sendable (_ worker: Int) -> any BatchWriter<Batch>
    private let queueSize: Int
    private let queueBytesMax: Int
    private let workerCount: Int
    private let workers = DispatchGroup()
    private let cancellation = Cancellation()
    private let isStopping = Atomic<Bool>(false)
    /// Memory that the batches keep alive which were taken and are not done with.
    private let bytes: ByteCount
    /// Why the last attempt failed, cleared by the next success.
    private let trouble = Mutex<ExportProblem?>(nil)
    /// What was not delivered when the time was over, oldest first.
    private let undelivered = Mutex<[Batch]>([])

    /// - Parameters:
    ///   - itemName: `spans`, `metric_points` or `log_records`, as the metric names have it.
    ///   - queueBytesMax: this exporter's share of the memory budget. Nothing is admitted while the batches that it holds take as much;
    ///     an exporter that holds nothing takes one of any size.
    public init(
        id: String, itemName: String, queue: ExportQueueConfig, queueBytesMax: Int = .max, retry: RetryConfig,
        circuitBreaker: CircuitBreakerConfig = .never, registry: MetricRegistry, logger: Logger,
        makeWriter: @escaping @Sendable (_ worker: Int) -> any BatchWriter<Batch>
    ) {
        self.id = id
        self.retry = retry
        self.logger = logger
        self.makeWriter = makeWriter
        self.queueBytesMax = queueBytesMax
        queueSize = queue.queueSize
        self.queue = BoundedQueue(capacity: queue.queueSize + PipelineLimits.admissionReserve)
        workerCount = queue.numConsumers
        metrics = ExporterMetrics(registry: registry, exporter: id, items: itemName)
        failures = ExportFailures(registry: registry, exporter: id, logger: logger)
        circuit = CircuitGate(config: circuitBreaker, registry: registry, exporter: id)
        loss = InternalEvent(counter: metrics.sendFailed, logger: logger, level: .error, message: "export given up, data is lost")
        let bytes = ByteCount()
        self.bytes = bytes
        let labels = [(name: "exporter", value: id)]
        registry.observe("otelcol_exporter_queue_size", help: "Batches queued.", labels: labels) { [weak queue = self.queue] in
            queue.map { Double($0.count) }
        }
        registry.observe("otelcol_exporter_queue_capacity", help: "Batches the queue holds.", labels: labels) { [weak bytes] in
            bytes.map { _ in Double(queue.queueSize) }
        }
        registry.observe("collector_exporter_queue_bytes", help: "Memory of batches held.", labels: labels) { [weak bytes] in
            bytes.map { Double($0.value) }
        }
        if queueBytesMax != .max {
            let help = "The exporter's share of the memory budget."
            registry.observe("collector_exporter_queue_bytes_limit", help: help, labels: labels) { [weak bytes] in
                bytes.map { _ in Double(queueBytesMax) }
            }
        }
    }

    public var health: ComponentHealth {
        guard let trouble = trouble.withLock({ $0 }) else { return .ok }
        return .degraded(circuit.note.map { "\(trouble); \($0)" } ?? trouble.description)
    }

    public var admission: Outcome {
        if isStopping.load(ordering: .relaxed) { return .retryable(.shuttingDown, after: nil) }
        let isFull = queue.count >= queueSize || bytes.value >= queueBytesMax
        return isFull ? .retryable(.queueFull, after: nil) : .accepted
    }

    public func consume(_ batch: Batch) -> Outcome {
        bytes.add(batch.byteCount)
        guard let rejected = queue.push(batch) else { return .accepted }
        bytes.add(-rejected.byteCount)
        metrics.enqueueFailed.add(rejected.itemCount)
        return .retryable(isStopping.load(ordering: .relaxed) ? .shuttingDown : .queueFull, after: nil)
    }

    public func start() async throws {
        for worker in 0..<workerCount {
            DispatchQueue(label: "\(id)-\(worker)").async(group: workers) { self.work(worker) }
        }
    }

    // MARK: Workers

    private func work(_ worker: Int) {
        let writer = makeWriter(worker)
        while let batch = queue.pop() {
            if !export(batch, with: writer) { undelivered.withLock { $0.append(batch) } }
            bytes.add(-batch.byteCount)
        }
        writer.close()
    }

    /// Tries until the batch is written or given up; false when the exporter's time was over before.
    private func export(_ batch: Batch, with writer: any BatchWriter<Batch>) -> Bool {
        var retryState = RetryState(config: retry, now: .now)
        while !cancellation.isCancelled, circuit.pass() {
            switch attempt(batch, with: writer) {
            case .written:
                circuit.succeeded()
                metrics.sent.add(batch.itemCount)
                recovered()
                return true
            case .permanent(let problem, let lostItems, let savedItems):
                circuit.succeeded()
                settle(batch, problem, lostItems: lostItems, savedItems: savedItems)
                return true
            case .retryable(let reason, let after):
                trouble.withLock { $0 = reason }
                if cancellation.isCancelled {
                    circuit.abandoned()
                    return false
                }
                let wait = retryState.nextWait(now: .now, random: .random(in: 0..<1), after: after)
                failures.note(reason, items: batch.itemCount, wait: wait)
                if circuit.failed(after: after) {
                    logger.warning("circuit breaker opened: attempts are paused", metadata: ["reason": "\(reason)"])
                }
                guard let wait else {
                    loss.emit(batch.itemCount, metadata: ["reason": "\(reason)"])
                    return true
                }
                circuit.pause(wait)
            }
        }
        return false
    }

    private func attempt(_ batch: Batch, with writer: any BatchWriter<Batch>) -> WriteOutcome {
        metrics.inFlight.add(1)
        defer { metrics.inFlight.add(-1) }
        let start = ContinuousClock.now
        let outcome = writer.write(batch, cancellation: cancellation)
        metrics.duration.observe((ContinuousClock.now - start) / .seconds(1))
        return outcome
    }

    /// Some of the batch's items will never be at the destination.
    private func settle(_ batch: Batch, _ problem: ExportProblem, lostItems: Int, savedItems: Int) {
        let written = batch.itemCount - lostItems - savedItems
        metrics.sent.add(written)
        if written > 0 { recovered() } else { trouble.withLock { $0 = problem } }
        failures.count(problem)
        if lostItems > 0 { loss.emit(lostItems, metadata: ["reason": "\(problem)"]) }
        if savedItems > 0 { failures.saved.emit(savedItems, metadata: ["reason": "\(problem)"]) }
    }

    /// The destination has taken something.
    private func recovered() {
        let hadTrouble = trouble.withLock { trouble in
            defer { trouble = nil }
            return trouble != nil
        }
        if hadTrouble { logger.info("exporting again") }
    }

    // MARK: The end

    /// Lets the workers empty the queue until `deadline`; then breaks off what blocks. What is left is lost and counted, or stays in the
    /// write-ahead log.
    public func shutdown(deadline: ContinuousClock.Instant) async {
        leave(await drain(deadline: deadline))
    }

    /// Like `shutdown`, but returns what is left, marked in doubt, for the exporter's successor.
    public func retire(deadline: ContinuousClock.Instant) async -> [Batch] {
        var left = await drain(deadline: deadline)
        for index in left.indices { left[index].markInDoubt() }
        return left
    }

    private func drain(deadline: ContinuousClock.Instant) async -> [Batch] {
        isStopping.store(true, ordering: .relaxed)
        queue.close()
        let watchdog = Task { [cancellation, circuit] in
            try? await Task.sleep(until: deadline, clock: .continuous)
            guard !Task.isCancelled else { return }
            cancellation.cancel()
            circuit.cancel()
        }
        await withCheckedContinuation { done in
            workers.notify(queue: .global()) { done.resume() }
        }
        watchdog.cancel()
        var left = undelivered.withLock { batches in
            defer { batches = [] }
            return batches
        }
        // Only when the exporter was never started.
        while let batch = queue.pop() {
            bytes.add(-batch.byteCount)
            left.append(batch)
        }
        return left
    }

    private func leave(_ batches: [Batch]) {
        let items = batches.reduce(0) { $0 + $1.itemCount }
        guard items > 0 else { return }
        let kept = batches.reduce(0) { $0 + $1.keepInLog() }
        let before = trouble.withLock { $0 }.map { "; before that: \($0)" } ?? ""
        let reason = "the time to shut down was over\(before)"
        if kept > 0 {
            logger.warning(
                "not exported before the stop: left in the write-ahead log for the next start",
                metadata: ["items": "\(kept)", "reason": "\(reason)"])
        }
        if items > kept { loss.emit(items - kept, metadata: ["reason": "\(reason)"]) }
    }
}

/// Bytes held, counted from several threads.
private final class ByteCount: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .relaxed) }

    func add(_ bytes: Int) { count.wrappingAdd(bytes, ordering: .relaxed) }
}
