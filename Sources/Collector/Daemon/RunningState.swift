import Configuration
import Pipeline
import Synchronization

/// What is running at the moment; read by the health endpoint at any time.
final class RunningState: Sendable {
    struct Content: Sendable {
        var phase = HealthReport.Phase.starting
        /// Some of it stays in force until the process ends.
        let startedWith: ServiceConfig
        /// In force: the one that was loaded last and could be applied.
        var configuration: LoadedConfiguration
        var assembly = Assembly()
        /// Nil without `service.write_ahead_log`.
        var log: WriteAheadLog?
        /// Why the configuration on disk is not the one in force.
        var reloadTrouble: String?
    }

    private let content: Mutex<Content>
    private let startTime: ContinuousClock.Instant

    init(_ configuration: LoadedConfiguration, startTime: ContinuousClock.Instant) {
        content = Mutex(Content(startedWith: configuration.service, configuration: configuration))
        self.startTime = startTime
    }

    var current: Content { content.withLock { $0 } }

    func update(_ body: (inout Content) -> Void) {
        content.withLock { body(&$0) }
    }

    var health: HealthReport {
        let current = current
        let log = current.log
        var lines = current.assembly.all.map { HealthReport.Line(place: $0.place, health: $0.component.health) }
        if let log { lines.append(HealthReport.Line(place: "service.write_ahead_log", health: log.health)) }
        if let trouble = current.reloadTrouble {
            lines.append(HealthReport.Line(place: "service.configuration", health: .degraded(trouble)))
        }
        return HealthReport(
            phase: current.phase, uptimeSeconds: Int((ContinuousClock.now - startTime).components.seconds), components: lines)
    }
}
