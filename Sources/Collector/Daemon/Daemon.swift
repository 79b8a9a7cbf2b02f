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
/// ready. Stop: receivers (no new requests, those in flight finish), processors (hand on what they hold), exporters (empty their
/// queues), health and metrics last. All within `shutdown_timeout`; a second signal ends the process at once.
final class Daemon: Sendable {
    private let logger: Logger
    private let service: ServiceConfig
    private let blueprints: Blueprints
    private let loggers: LoggerFactory
    private let registry = MetricRegistry()
    private let startTime = ContinuousClock.now
    private let phase = Mutex(HealthReport.Phase.starting)

    init(service: ServiceConfig, blueprints: Blueprints, loggers: LoggerFactory) {
        self.service = service
        self.blueprints = blueprints
        self.loggers = loggers
        logger = loggers.logger("service")
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
            phase.withLock { $0 = .stopping }
            logger.info(
                "stopping: requests in flight and exports are finished",
                metadata: ["within": "\(service.shutdownTimeout.configurationText)"])
            DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(service.shutdownTimeout + CollectorLimits.exitGrace)) {
                self.end("not stopped within shutdown_timeout: ending now, what was not exported is lost")
            }
            Task { await lifecycle.triggerGracefulShutdown() }
        case .stopNow:
            end("second signal: ending at once, what was not exported is lost")
        case .reload:
            logger.warning("SIGHUP ignored: reloading the configuration is not built in yet, restart instead")
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
        let memory = MemoryPlan(blueprints.memoryDemand(eventLoops: loopCount, hasLog: false), ceiling: .current())
        let budget = memory.apply(registry: registry, logger: logger)
        let assembly = Assembly(
            blueprints,
            ComponentContext(
                group: group, budget: budget, memory: memory, registry: registry, loggers: loggers))
        let admin = try await startAdmin(assembly, adminGroup)
        try await start(assembly)
        phase.withLock { if $0 == .starting { $0 = .running } }
        announce(assembly)

        try await gracefulShutdown()

        await stop(assembly)
        for server in admin { await server.shutdown() }
        // Loops that do not end in time end with the process.
        try? await group.shutdownGracefully()
        try? await adminGroup.shutdownGracefully()
        logger.info("stopped")
    }

    private func startAdmin(_ assembly: Assembly, _ group: any EventLoopGroup) async throws -> [AdminServer] {
        var servers: [AdminServer] = []
        if let health = blueprints.healthCheck {
            let page = AdminPage(path: health.path, contentType: "application/json") { [self] in
                let report = report(assembly)
                return (report.httpStatus, report.json)
            }
            servers.append(
                try await Self.starting("extensions.health_check") {
                    try await AdminServer.start(page, at: health.endpoint, group: group)
                })
        }
        if service.metricsLevel != .none {
            let page = AdminPage(path: "/metrics", contentType: "text/plain; version=0.0.4; charset=utf-8") { [registry] in
                (200, registry.prometheusText())
            }
            servers.append(
                try await Self.starting("service.telemetry.metrics") {
                    try await AdminServer.start(page, at: service.metricsAddress, group: group)
                })
        }
        return servers
    }

    /// Exporters, then processors, then receivers; each pipeline from its end.
    private func start(_ assembly: Assembly) async throws {
        for (place, component) in assembly.all.reversed() {
            try await Self.starting(place) { try await component.start() }
        }
    }

    private static func starting<Result>(_ place: String, _ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch {
            throw StartFailure(place: place, cause: error)
        }
    }

    /// Tells the user what to do next: where to point an SDK, and where to look for the data.
    private func announce(_ assembly: Assembly) {
        for receiver in assembly.receivers {
            for address in receiver.addresses() {
                let variables = "OTEL_EXPORTER_OTLP_ENDPOINT=\(address.url) OTEL_EXPORTER_OTLP_PROTOCOL=\(address.sdkProtocol)"
                logger.info("ready; point an SDK here: \(variables)")
            }
        }
        for id in Set(blueprints.pipelines.flatMap(\.exporters)).map(\.description).sorted() {
            guard let exporter = ComponentID(id).flatMap({ blueprints.exporters[$0] }) else { continue }
            logger.info("data goes to \(exporter.destination)", metadata: ["exporter": "\(id)"])
        }
    }

    // MARK: Health

    private func report(_ assembly: Assembly) -> HealthReport {
        HealthReport(
            phase: phase.withLock { $0 }, uptimeSeconds: Int((ContinuousClock.now - startTime).components.seconds),
            components: assembly.all.map { HealthReport.Line(place: $0.place, health: $0.component.health) })
    }

    // MARK: Stop

    /// In the order a span travels, so that what one stage hands on is still taken by the next.
    private func stop(_ assembly: Assembly) async {
        let begin = ContinuousClock.now
        func deadline(_ share: Double) -> ContinuousClock.Instant { begin + service.shutdownTimeout * share }
        await withTaskGroup { tasks in
            for receiver in assembly.receivers {
                tasks.addTask { await receiver.component.shutdown(deadline: deadline(CollectorLimits.receiverShare)) }
            }
        }
        for processor in assembly.processors.reversed() {
            await processor.shutdown(deadline: deadline(CollectorLimits.processorShare))
        }
        await withTaskGroup { tasks in
            for exporter in assembly.exporters {
                tasks.addTask { await exporter.shutdown(deadline: deadline(CollectorLimits.exporterShare)) }
            }
        }
    }
}

/// Which component could not be started, and why; one line.
struct StartFailure: Error, CustomStringConvertible {
    let place: String
    let cause: any Error

    var description: String { "\(place): \(cause)" }
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
