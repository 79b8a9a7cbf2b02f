/// A stage that takes batches: processor, exporter, or the fan-out between them. Its successor is given to it when it is
/// made. Called from several threads at once, once per batch, never per item.
public protocol Consumer<Batch>: AnyObject, Sendable {
    associatedtype Batch: TelemetryBatch

    /// What `consume` would most likely say now. Asked before a request is even decompressed, and by the fan-out before it
    /// hands anything to anybody, so that a refusal leaves nothing half delivered: a caller that was told `accepted` and
    /// consumes at once is not refused for lack of room (`PipelineLimits.admissionReserve`).
    var admission: Outcome { get }

    /// Takes the batch or says why not. After `accepted` this stage answers for it.
    func consume(_ batch: Batch) -> Outcome
}

/// A component with a life: started exporters first, stopped receivers first.
public protocol Component: AnyObject, Sendable {
    /// The id in the configuration: `type` or `type/name`.
    var id: String { get }
    func start() async throws
    /// Finishes what it has taken, as far as it can before `deadline`, and frees what it holds.
    func shutdown(deadline: ContinuousClock.Instant) async
    var health: ComponentHealth { get }
}

public enum ComponentHealth: Sendable, Equatable {
    case ok
    /// Works on, but somebody should look: the reason, without user data.
    case degraded(String)
}
