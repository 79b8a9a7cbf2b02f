import Configuration
import Dispatch
import Glibc
import Logging
import NIOCore
import NIOPosix
import Pipeline
import SelfTelemetry
import ServiceLifecycle
import Synchronization

/// The running collector: starts what the configuration names, waits for a signal, stops it in reverse.
///
/// Start: health and metrics endpoints, exporters, processors, receivers. Nothing is offered data before what it hands data to is
/// ready. Stop: receivers (no new requests, those in flight finish), pipeline entries (read what waits in the log, as time allows),
/// processors (hand on what they hold), exporters (empty their queues), the log, health and metrics last. All within
/// `shutdown_timeout`; a second signal ends the process at once. In between, SIGHUP exchanges what has changed: `Reloader`.
final class Daemon: Sendable {
    private let logger: Logger
    private let loggers: LoggerFactory
    private let load: @Sendable () throws(ConfigurationError) -> LoadedConfiguration
    private let registry = MetricRegistry()
    private let startTime = ContinuousClock.now
    private let running: RunningState
    /// Set once there is something to reload.
    private let reloader = Mutex<Reloader?>(nil)

    /// - Parameter load: reads the configuration again, for a reload.
    init(
        _ configuration: LoadedConfiguration, loggers: LoggerFactory,
        load: @escaping @Sendable () throws(ConfigurationError) -> LoadedConfiguration
    ) {
        self.loggers = loggers
        self.load = load
        running = RunningState(configuration, startTime: startTime)
        logger = loggers.logger("service")
        for warning in configuration.warnings { loggers.logger("configuration").warning("\(warning)") }
    }

    /// Returns after an orderly stop; throws `StartFailure` when something could not be started.
    func runUntilSignalled() async throws {
        // Failures are reported by whoever called, once and in one line.
        let lifecycle = ServiceGroup(
            services: [DaemonService { try await self.run() }], logger: Logger(label: "lifecycle") { _ in SwiftLogNoOpLogHandler() })
        let signals = Signals { self.handle($0, lifecycle) }
        defer { withExtendedLifetime(signals) {} }
        try await lifecycle.run()
    }

    private func handle(_ event: Signals.Event, _ lifecycle: ServiceGroup) {
        switch event {
        case .stop:
            running.update { $0.phase = .stopping }
            let timeout = running.current.configuration.service.shutdownTimeout
            logger.info("stopping: requests in flight and exports are finished", metadata: ["within": "\(timeout.configurationText)"])
            DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(timeout + CollectorLimits.exitGrace)) {
                self.end("not stopped within shutdown_timeout: ending now, what was not exported is lost")
            }
            Task { await lifecycle.triggerGracefulShutdown() }
        case .stopNow:
            end("second signal: ending at once, what was not exported is lost")
        case .reload:
            // Nobody to ask yet: the files are being read for the first time.
            reloader.withLock { $0 }?.request()
        }
    }

    /// Ends the process without any further ado.
    private func end(_ reason: Logger.Message) {
        logger.error(reason)
        loggers.output.flush(timeout: CollectorLimits.lastWordsTimeout)
        _exit(EXIT_FAILURE)
    }

    // MARK: Start

    private func run() async throws {
        let loopCount = Processors.count
        let group = MultiThreadedEventLoopGroup(numberOfThreads: loopCount)
        // Health and metrics answer also while the data's event loops are busy.
        let adminGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        logger.info("\(CollectorVersion.text) starts", metadata: ["event_loops": "\(loopCount)"])
        ProcessMetrics.register(in: registry, start: startTime)
        let configuration = running.current.configuration
        let context = makeContext(configuration, group, eventLoops: loopCount)
        let admin = AdminServers(group: adminGroup, registry: registry) { [running] in running.health }
        let inheritances = Inheritances(registry: registry, logger: logger)
        let reloader = Reloader(
            running, load: load, admin: admin, inheritances: inheritances, registry: registry, loggers: loggers
        ) { context.adapted(to: $0, eventLoops: loopCount) }
        self.reloader.withLock { $0 = reloader }

        try await start(configuration, context, admin, inheritances)
        let reloads = Task { await reloader.run() }

        try await gracefulShutdown()

        await reloader.close()
        await stop(reloads, inheritances)
        await admin.shutdown()
        // Loops that do not end in time end with the process.
        try? await group.shutdownGracefully()
        try? await adminGroup.shutdownGracefully()
        logger.info("stopped")
    }

    private func makeContext(
        _ configuration: LoadedConfiguration, _ group: any EventLoopGroup, eventLoops: Int
    ) -> ComponentContext {
        let (service, blueprints) = (configuration.service, configuration.blueprints)
        let memory = MemoryPlan(blueprints.memoryDemand(eventLoops: eventLoops, hasLog: service.writeAheadLog != nil), ceiling: .current())
        let readers = blueprints.pipelines.map(\.id)
        let log = service.writeAheadLog.map {
            WriteAheadLog(
                settings: WriteAheadLogSettings($0, fingerprintBytesMax: memory.fingerprintBytesMax),
                readers: readers.map(\.description), registry: registry, logger: loggers.logger("service.write_ahead_log"))
        }
        running.update { $0.log = log }
        return ComponentContext(
            group: group, budget: memory.apply(registry: registry, logger: logger), log: log, logReaders: readers, memory: memory,
            registry: registry, loggers: loggers)
    }

    /// Exporters, then processors, then the log, then receivers; each pipeline from its end.
    private func start(
        _ configuration: LoadedConfiguration, _ context: ComponentContext, _ admin: AdminServers, _ inheritances: Inheritances
    ) async throws(StartFailure) {
        let exchange = Exchange(
            transition: Transition(to: configuration.blueprints, context), context: context, inheritances: inheritances, logger: logger,
            shutdownTimeout: configuration.service.shutdownTimeout)
        let assembly = exchange.transition.next
        running.update { $0.assembly = assembly }
        try await admin.apply(AdminServers.Wanted(configuration.service, configuration.blueprints))
        try await exchange.startStages()
        if let log = context.log { await Self.open(log, for: assembly.pipelines) }
        try await exchange.exchangeReceivers()
        running.update { if $0.phase == .starting { $0.phase = .running } }
        assembly.announce(assembly.receivers, assembly.exporters, logger)
    }

    /// Waits a moment for the log, so that clients which start together with the collector are not refused. One that has much to read,
    /// or cannot be opened, holds up nothing: requests are refused until it is ready.
    private static func open(_ log: WriteAheadLog, for pipelines: [Assembly.Pipeline]) async {
        log.whenOpen { for pipeline in pipelines { pipeline.entry.start() } }
        log.open()
        let end = ContinuousClock.now + CollectorLimits.logOpenWait
        while log.admission != .accepted, ContinuousClock.now < end { try? await Task.sleep(for: CollectorLimits.logOpenPollInterval) }
    }

    // MARK: Stop

    /// In the order a span travels, so that what one stage hands on is still taken by the next.
    private func stop(_ reloads: Task<Void, Never>, _ inheritances: Inheritances) async {
        let begin = ContinuousClock.now
        let (assembly, log) = (running.current.assembly, running.current.log)
        let timeout = running.current.configuration.service.shutdownTimeout
        func deadline(_ share: Double) -> ContinuousClock.Instant { begin + timeout * share }
        await withTaskGroup { tasks in
            for receiver in assembly.receivers {
                tasks.addTask { await receiver.made.component.shutdown(deadline: deadline(CollectorLimits.receiverShare)) }
            }
        }
        await withTaskGroup { tasks in
            for pipeline in assembly.pipelines {
                tasks.addTask {
                    await pipeline.entry.stop(deadline: deadline(CollectorLimits.entryShare))
                    for processor in pipeline.processors {
                        await processor.component.shutdown(deadline: deadline(CollectorLimits.processorShare))
                    }
                }
            }
        }
        // What the last reload replaced hands on to components that still run.
        await reloads.value
        await inheritances.finish(deadline: deadline(ReloadLimits.inheritanceShare))
        await withTaskGroup { tasks in
            for exporter in assembly.exporters {
                tasks.addTask { await exporter.component.shutdown(deadline: deadline(CollectorLimits.exporterShare)) }
            }
        }
        // Only now: whatever is let go before it counts as done with.
        await log?.close(deadline: deadline(CollectorLimits.logShare))
    }
}

extension ComponentContext {
    /// For new components of another configuration. Puts its limits of the whole process in force.
    fileprivate func adapted(to blueprints: Blueprints, eventLoops: Int) -> ComponentContext {
        var context = self
        context.memory = MemoryPlan(blueprints.memoryDemand(eventLoops: eventLoops, hasLog: log != nil), ceiling: .current())
        context.memory.apply(to: budget)
        return context
    }
}

extension WriteAheadLogSettings {
    /// As `service.write_ahead_log` says.
    fileprivate init(_ config: WriteAheadLogConfig, fingerprintBytesMax: Int) {
        self.init(
            directory: config.directory, maxSizeBytes: config.maxSizeMiB << 20, segmentBytes: config.segmentMiB << 20,
            sync: config.sync == .always ? .always : .interval(config.syncInterval), dedupWindow: config.dedupWindow,
            dedupBytesMax: fingerprintBytesMax)
    }
}

private struct DaemonService: Service {
    let body: @Sendable () async throws -> Void

    init(_ body: @escaping @Sendable () async throws -> Void) {
        self.body = body
    }

    func run() async throws {
        try await body()
    }
}

extension DispatchTimeInterval {
    fileprivate static func seconds(_ duration: Duration) -> DispatchTimeInterval {
        let (seconds, attoseconds) = duration.components
        return .milliseconds(Int(min(seconds, 1_000_000_000)) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}
