import Configuration

/// What a configuration runs, as plain values: enough to tell two configurations apart.
struct Topology: Equatable, Sendable {
    struct Receiver: Equatable, Sendable {
        /// `ConfigSection.comparisonText`.
        var text: String
        /// Ports it listens on; 0 where the system picks one.
        var ports: [Int] = []
    }

    struct Pipeline: Equatable, Sendable {
        var id: ComponentID
        var receivers: [ComponentID]
        var processors: [ComponentID]
        var exporters: [ComponentID]
    }

    var receivers: [ComponentID: Receiver] = [:]
    var processors: [ComponentID: String] = [:]
    var exporters: [ComponentID: String] = [:]
    var pipelines: [Pipeline] = []
    /// By receiver: text of the processor that rewrites its requests before they are logged.
    var rewriters: [ComponentID: String] = [:]

    /// Pipelines that a receiver feeds, in the order of the configuration.
    func fed(by receiver: ComponentID) -> [ComponentID] {
        pipelines.filter { $0.receivers.contains(receiver) }.map(\.id)
    }

    func pipeline(_ id: ComponentID) -> Pipeline? { pipelines.first { $0.id == id } }

    /// In the order in which pipelines first name them.
    static func distinct(_ ids: [ComponentID]) -> [ComponentID] {
        var seen: Set<ComponentID> = []
        return ids.filter { seen.insert($0).inserted }
    }

    var usedReceivers: [ComponentID] { Self.distinct(pipelines.flatMap(\.receivers)) }
    var usedExporters: [ComponentID] { Self.distinct(pipelines.flatMap(\.exporters)) }
}
