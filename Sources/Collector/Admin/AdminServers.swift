import Configuration
import NIOCore
import SelfTelemetry

/// The health and metrics endpoints, as the configuration wants them at the moment.
actor AdminServers {
    struct Wanted: Equatable, Sendable {
        var health: HealthCheckConfig?
        var metrics: Endpoint?

        init(_ service: ServiceConfig, _ blueprints: Blueprints) {
            health = blueprints.healthCheck
            metrics = service.metricsLevel == .none ? nil : service.metricsAddress
        }
    }

    private let group: any EventLoopGroup
    private let registry: MetricRegistry
    private let report: @Sendable () -> HealthReport
    private var health: (config: HealthCheckConfig, server: AdminServer)?
    private var metrics: (endpoint: Endpoint, server: AdminServer)?

    init(group: any EventLoopGroup, registry: MetricRegistry, report: @escaping @Sendable () -> HealthReport) {
        self.group = group
        self.registry = registry
        self.report = report
    }

    /// Endpoints that stay the same are not touched. Those that change are all stopped first, since one may get the other's port.
    ///
    /// Throws when one cannot be started; `apply` with the former wish then brings those back.
    func apply(_ wanted: Wanted) async throws(StartFailure) {
        if let health, health.config != wanted.health {
            await health.server.shutdown()
            self.health = nil
        }
        if let metrics, metrics.endpoint != wanted.metrics {
            await metrics.server.shutdown()
            self.metrics = nil
        }
        if let config = wanted.health, health == nil {
            let page = AdminPage(path: config.path, contentType: "application/json") { [report] in
                let report = report()
                return (report.httpStatus, report.json)
            }
            health = (config, try await start(page, at: config.endpoint, "extensions.health_check"))
        }
        if let endpoint = wanted.metrics, metrics == nil {
            let page = AdminPage(path: "/metrics", contentType: "text/plain; version=0.0.4; charset=utf-8") { [registry] in
                (200, registry.prometheusText())
            }
            metrics = (endpoint, try await start(page, at: endpoint, "service.telemetry.metrics"))
        }
    }

    private func start(_ page: AdminPage, at endpoint: Endpoint, _ place: String) async throws(StartFailure) -> AdminServer {
        do {
            return try await AdminServer.start(page, at: endpoint, group: group)
        } catch {
            throw StartFailure(place: place, cause: error)
        }
    }

    func shutdown() async {
        await health?.server.shutdown()
        await metrics?.server.shutdown()
    }
}
