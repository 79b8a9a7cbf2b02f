import Dispatch
import Logging
import Pipeline
import SelfTelemetry

/// The `timescaledb` exporter: collects rows into batches, queues them, and writes each with one COPY over one of
/// `num_consumers` connections.
///
/// Start-up does not wait for the database. The schema is brought up to date (`auto_migrate`) or checked in the background
/// until that succeeds; meanwhile batches queue up and health says why.
public final class TimescaleDBExporter: RetiringStage {
    public let id: String
    private let config: TimescaleDBConfig
    private let logger: Logger
    private let context: TimescaleDBContext
    private let collector: BatchProcessor<SpanBatch>
    private let writers: QueuedExporter<SpanBatch>
    private let preparation = DispatchGroup()
    private let cancellation = Cancellation()
    private let schemaQueue: DispatchQueue

    /// - Parameter resources: what the process gives this exporter.
    public init(
        id: String, config: TimescaleDBConfig, resources: ExporterResources = ExporterResources(), registry: MetricRegistry, logger: Logger
    ) {
        self.id = id
        var config = config
        config.retry = config.retry.filled(isDurable: resources.isDurable)
        schemaQueue = DispatchQueue(label: "\(id)-schema")
        self.config = config
        self.logger = logger
        let schema = SchemaGate()
        let context = TimescaleDBContext(
            config: config, schema: schema, resources: ResourceStore(schema: config.schema),
            refresher: AggregateRefresher(config: config, schema: schema, logger: logger),
            metrics: TimescaleDBMetrics(registry: registry, exporter: id),
            deadLetters: resources.deadLetterFile(config.deadLetterFile, exporter: id))
        self.context = context
        writers = QueuedExporter(
            id: id, itemName: "spans", queue: config.queue, queueBytesMax: resources.queueBytesMax, retry: config.retry,
            circuitBreaker: config.circuitBreaker, registry: registry, logger: logger
        ) { _ in
            TimescaleDBWriter(context)
        }
        collector = BatchProcessor(
            id: id,
            settings: BatchSettings(sizeItems: config.batchRows, maxItems: config.batchRows, timeout: config.flushInterval),
            next: writers, registry: nil, logger: logger)
    }

    public var health: ComponentHealth {
        if let problem = context.schema.problem { return .degraded(problem.description) }
        return writers.health
    }

    public var admission: Outcome { collector.admission }

    public func consume(_ batch: SpanBatch) -> Outcome { collector.consume(batch) }

    public func start() async throws {
        context.schema.whenInvalid { [weak self] in self?.scheduleSchema() }
        scheduleSchema()
        try await writers.start()
        try await collector.start()
    }

    public func shutdown(deadline: ContinuousClock.Instant) async {
        await collector.shutdown(deadline: deadline)
        await writers.shutdown(deadline: deadline)
        await end(deadline)
    }

    public func retire(deadline: ContinuousClock.Instant) async -> [SpanBatch] {
        let collected = await collector.retire(deadline: deadline)
        let left = await writers.retire(deadline: deadline)
        await end(deadline)
        return left + collected
    }

    private func end(_ deadline: ContinuousClock.Instant) async {
        cancellation.cancel()
        await withCheckedContinuation { done in
            preparation.notify(queue: .global()) { done.resume() }
        }
        await context.refresher.shutdown(deadline: deadline)
    }

    // MARK: Schema

    /// Brings the schema up to date and says what was done: the `migrate` command. Does it also where `auto_migrate` is off.
    public static func migrate(config: TimescaleDBConfig, logger: Logger) throws(ExportProblem) -> MigrationReport {
        do throws(DatabaseError) {
            var migrator = try migrator(config, Interrupter(), logger)
            return try migrator.run(always: true)
        } catch {
            throw error.problem
        }
    }

    private func scheduleSchema() {
        schemaQueue.async(group: preparation) { [weak self] in self?.prepareSchema() }
    }

    /// Until the schema is in place or the exporter stops.
    private func prepareSchema() {
        let interrupter = Interrupter()
        cancellation.withHandler({ interrupter.interrupt() }) {
            var pause = TimescaleDBLimits.migrationRetryFirst
            while !cancellation.isCancelled {
                do throws(DatabaseError) {
                    context.schema.open(try schemaFacts(interrupter))
                    return
                } catch {
                    context.schema.close(error.problem)
                    if case .interrupted = error { return }
                    logger.warning(
                        "the database is not ready, spans are queued", metadata: ["reason": "\(error.problem)", "again_in": "\(pause)"])
                }
                guard cancellation.wait(pause) else { return }
                pause = min(pause * 2, TimescaleDBLimits.migrationRetryMax)
            }
        }
    }

    private func schemaFacts(_ interrupter: Interrupter) throws(DatabaseError) -> SchemaFacts {
        var migrator = try Self.migrator(config, interrupter, logger)
        if config.autoMigrate {
            let report = try migrator.run(always: false)
            logger.info("\(report)", metadata: ["schema": "\(config.schema.name)"])
        } else {
            let version = try migrator.version()
            try migrator.checkNotNewer(version)
            guard version == Migration.latest else {
                throw .unsuitable(
                    "the database schema has version \(version), \(Migration.latest) is needed: run the migrate command or set auto_migrate"
                )
            }
            guard try migrator.tablesExist() else {
                throw .unsuitable("tables are missing in the database: run the migrate command or set auto_migrate")
            }
        }
        return SchemaFacts(continuousAggregates: try migrator.continuousAggregates())
    }

    private static func migrator(
        _ config: TimescaleDBConfig, _ interrupter: Interrupter, _ logger: Logger
    ) throws(DatabaseError) -> Migrator {
        try Migrator(settings: SchemaSettings(config), logger: logger) { () throws(DatabaseError) in
            try Connection(config.connection, interrupter: interrupter) { text in
                logger.warning("the database warns", metadata: ["message": "\(text)"])
            }
        }
    }
}
