import Dispatch
import SelfTelemetry
import Synchronization

/// Collects small batches into large ones; the `batch` processor, and the row collector in front of the database exporters.
///
/// What it has accepted it never drops: when the next stage refuses, the batch is held here and offered again, and
/// newcomers are refused until it is gone.
public final class BatchProcessor<Batch: TelemetryBatch>: Consumer, Component {
    public let id: String
    private let next: any Consumer<Batch>
    private let metrics: BatchMetrics?
    private let state: Mutex<State>
    private let timers = DispatchQueue(label: "batch-timers")

    private struct State {
        var assembler: BatchAssembler<Batch>
        /// Batches that the next stage refused, oldest first.
        var held: [Batch] = []
        var isStopping = false
    }

    private enum Step {
        case refuse(Refusal)
        case go(send: [Batch], timer: Int?, timeout: Duration)
    }

    /// How soon a refused batch is offered again.
    private static var holdInterval: Duration { .milliseconds(50) }

    /// - Parameter registry: nil for a collector inside an exporter, which is no processor of the user's.
    public init(id: String, settings: BatchSettings, next: any Consumer<Batch>, registry: MetricRegistry?) {
        self.id = id
        self.next = next
        metrics = registry.map { BatchMetrics(registry: $0, processor: id) }
        state = Mutex(State(assembler: BatchAssembler(settings: settings)))
    }

    public var health: ComponentHealth { .ok }

    public func start() async throws {}

    public var admission: Outcome {
        let refusal: Refusal? = state.withLock { $0.isStopping ? .shuttingDown : $0.held.isEmpty ? nil : .queueFull }
        return refusal.map { .retryable($0, after: nil) } ?? next.admission
    }

    public func consume(_ batch: Batch) -> Outcome {
        let step: Step = state.withLock { state in
            if state.isStopping { return .refuse(.shuttingDown) }
            if !state.held.isEmpty { return .refuse(.queueFull) }
            let (send, startTimer) = state.assembler.add(batch)
            return .go(send: send, timer: startTimer ? state.assembler.generation : nil, timeout: state.assembler.settings.timeout)
        }
        switch step {
        case .refuse(let refusal):
            return .retryable(refusal, after: nil)
        case .go(let send, let timer, let timeout):
            for full in send {
                metrics?.sizeTriggers.add()
                forward(full)
            }
            if let timer { schedule(after: timeout) { $0.timerFired(timer) } }
            return .accepted
        }
    }

    private func timerFired(_ generation: Int) {
        guard let batch = state.withLock({ $0.assembler.timerFired(generation: generation) }) else { return }
        metrics?.timeoutTriggers.add()
        forward(batch)
    }

    private func forward(_ batch: Batch) {
        metrics?.size.observe(Double(batch.itemCount))
        guard next.consume(batch) != .accepted else { return }
        state.withLock { $0.held.append(batch) }
        schedule(after: Self.holdInterval) { $0.offerHeld() }
    }

    /// Offers held batches in order until one is refused again.
    private func offerHeld() {
        while let batch = state.withLock({ $0.held.first }) {
            guard next.consume(batch) == .accepted else {
                schedule(after: Self.holdInterval) { $0.offerHeld() }
                return
            }
            state.withLock { _ = $0.held.removeFirst() }
        }
    }

    private func schedule(after delay: Duration, _ body: @escaping @Sendable (BatchProcessor) -> Void) {
        let nanoseconds = Int(delay.components.seconds * 1_000_000_000 + delay.components.attoseconds / 1_000_000_000)
        timers.asyncAfter(deadline: .now() + .nanoseconds(nanoseconds)) { [weak self] in
            if let self { body(self) }
        }
    }

    /// Sends on what is left; waits for room in the next stage until `deadline`.
    public func shutdown(deadline: ContinuousClock.Instant) async {
        let rest: Batch? = state.withLock { state in
            state.isStopping = true
            return state.assembler.take()
        }
        if let rest { forward(rest) }
        while state.withLock({ !$0.held.isEmpty }), ContinuousClock.now < deadline {
            try? await Task.sleep(for: Self.holdInterval)
        }
    }
}
