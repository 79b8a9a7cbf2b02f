import Dispatch
import Logging
import Pipeline
import SelfTelemetry
import Synchronization

/// Exporter `sqlite`: writes spans into one SQLite file, the store that needs no server.
///
/// Row collector → queue → one worker → `SQLiteStore`. One worker, because SQLite has one writer. Batches wait in the queue as
/// long as the file cannot be written; none is given up before `shutdown`. No circuit breaker: the one worker's waits do the same.
public final class SQLiteExporter: RetiringStage {
    public let id: String
    private let store: SQLiteStore
    private let rows: BatchProcessor<SpanBatch>
    private let exporter: QueuedExporter<SpanBatch>
    private let logger: Logger
    private let maintenance = DispatchQueue(label: "sqlite-maintenance")
    private let isStopping = Atomic<Bool>(false)
    private let trouble = Mutex<ExportProblem?>(nil)

    /// - Parameter resources: what the process gives this exporter.
    public init(
        id: String, config: SQLiteConfig, resources: ExporterResources = ExporterResources(), registry: MetricRegistry, logger: Logger
    ) {
        self.id = id
        self.logger = logger
        let store = SQLiteStore(
            config, deadLetters: resources.deadLetterFile(config.deadLetterFile, exporter: id), logger: logger)
        self.store = store
        var retry = RetryConfig()
        retry.initialInterval = SQLiteLimits.retryInitial
        retry.maxInterval = SQLiteLimits.retryMax
        retry.maxElapsedTime = .zero
        exporter = QueuedExporter(
            id: id, itemName: "spans", queue: ExportQueueConfig(numConsumers: 1), queueBytesMax: resources.queueBytesMax, retry: retry,
            registry: registry, logger: logger
        ) { _ in SQLiteWriter(store) }
        let settings = BatchSettings(
            sizeItems: SQLiteLimits.batchRows, maxItems: SQLiteLimits.batchRowsMax, timeout: SQLiteLimits.batchTimeout,
            quietTimeout: SQLiteLimits.batchQuietTimeout)
        rows = BatchProcessor(id: id, settings: settings, next: exporter, registry: nil, logger: logger)
    }

    /// Makes the file and its tables, or brings them up to date, and closes it again; for the command `migrate`.
    ///
    /// - Returns: a sentence for the operator.
    public static func migrate(config: SQLiteConfig, logger: Logger) throws(ExportProblem) -> String {
        let store = SQLiteStore(config, logger: logger)
        try store.open()
        store.close()
        return "\(config.path): schema is at version \(SQLiteSchema.currentVersion)"
    }

    public var health: ComponentHealth {
        if exporter.health != .ok { return exporter.health }
        return trouble.withLock { $0 }.map { .degraded($0.description) } ?? .ok
    }

    public var admission: Outcome { rows.admission }

    public func consume(_ batch: SpanBatch) -> Outcome { rows.consume(batch) }

    /// Throws an `ExportProblem` when the file cannot be used and waiting would not help: no permission, not a database, made
    /// by a newer collector. What may pass (locked, disk full) is left to the worker.
    public func start() async throws {
        do throws(ExportProblem) {
            try store.open()
        } catch {
            if SQLiteProblem.isFatalAtStart(error) { throw error }
            trouble.withLock { $0 = error }
            logger.warning("the database cannot be opened yet", metadata: ["reason": "\(error)"])
        }
        try await rows.start()
        try await exporter.start()
        maintain()
    }

    /// Deletes old spans now and at every `maintenanceInterval`.
    private func maintain() {
        maintenance.async { [weak self] in
            guard let self, !isStopping.load(ordering: .relaxed) else { return }
            var problem: ExportProblem?
            do throws(ExportProblem) {
                try store.maintain(nowMicroseconds: SQLiteSession.nowMicroseconds) { isStopping.load(ordering: .relaxed) }
            } catch {
                problem = error
            }
            trouble.withLock { $0 = problem }
            let seconds = Int(SQLiteLimits.maintenanceInterval.components.seconds)
            maintenance.asyncAfter(deadline: .now() + .seconds(seconds)) { [weak self] in self?.maintain() }
        }
    }

    public func shutdown(deadline: ContinuousClock.Instant) async {
        await rows.shutdown(deadline: deadline)
        isStopping.store(true, ordering: .relaxed)
        await exporter.shutdown(deadline: deadline)
        await closeStore()
    }

    public func retire(deadline: ContinuousClock.Instant) async -> [SpanBatch] {
        let collected = await rows.retire(deadline: deadline)
        isStopping.store(true, ordering: .relaxed)
        let left = await exporter.retire(deadline: deadline)
        await closeStore()
        return left + collected
    }

    /// A step of the maintenance that was under way may have opened the database again.
    private func closeStore() async {
        await withCheckedContinuation { done in maintenance.async { done.resume() } }
        store.close()
    }
}
