import Pipeline
import SelfTelemetry

/// What the health endpoint says, as a value.
struct HealthReport: Equatable {
    /// Where the collector is in its life.
    enum Phase: String, Sendable {
        case starting
        case running
        case stopping
    }

    enum Status: String {
        case ok
        /// Takes data; a component needs somebody's attention.
        case degraded
        /// Takes no data: not yet, or no longer.
        case unavailable
    }

    struct Line: Equatable {
        let place: String
        let health: ComponentHealth
    }

    let phase: Phase
    let uptimeSeconds: Int
    let components: [Line]

    var status: Status {
        guard phase == .running else { return .unavailable }
        return components.allSatisfy { $0.health == .ok } ? .ok : .degraded
    }

    /// 200 also when degraded: restarting a collector because its database is down would only lose what it holds.
    var httpStatus: Int { status == .unavailable ? 503 : 200 }

    var json: String {
        var out = "{\"status\":\"\(status.rawValue)\",\"phase\":\"\(phase.rawValue)\",\"uptime_seconds\":\(uptimeSeconds),\"components\":["
        for (index, line) in components.enumerated() {
            if index > 0 { out += "," }
            switch line.health {
            case .ok: out += "{\"id\":\(JSONText.quoted(line.place)),\"status\":\"ok\"}"
            case .degraded(let reason):
                out += "{\"id\":\(JSONText.quoted(line.place)),\"status\":\"degraded\",\"reason\":\(JSONText.quoted(reason))}"
            }
        }
        return out + "]}\n"
    }
}
