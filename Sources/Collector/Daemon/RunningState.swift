import Pipeline
import Synchronization

/// What is running at the moment; read by the health endpoint at any time.
final class RunningState: Sendable {
    struct Content: Sendable {
        var phase = HealthReport.Phase.starting
        /// In force: the one that was loaded last and could be applied.
        var configuration: LoadedConfiguration
        var assembly = Assembly()
        /// Why the configuration on disk is not the one in force.
        var reloadTrouble: String?
    }

    private let content: Mutex<Content>
    private let startTime: ContinuousClock.Instant

    init(_ configuration: LoadedConfiguration, startTime: ContinuousClock.Instant) {
        content = Mutex(Content(configuration: configuration))
        self.startTime = startTime
    }

    var current: Content { content.withLock { $0 } }

    func update(_ body: (inout Content) -> Void) {
        content.withLock { body(&$0) }
    }

    var health: HealthReport {
        let current = current
        var lines = current.assembly.all.map { HealthReport.Line(place: $0.place, health: $0.component.health) }
        if let trouble = current.reloadTrouble {
            lines.append(HealthReport.Line(place: "service.configuration", health: .degraded(trouble)))
        }
        return HealthReport(
            phase: current.phase, uptimeSeconds: Int((ContinuousClock.now - startTime).components.seconds), components: lines)
    }
}
