import Dispatch
import Logging
import SelfTelemetry
import Synchronization

/// Collects small batches into large ones; the `batch` processor, and the row collector in front of the database exporters.
///
/// What it has accepted it never drops: when the next stage refuses, the batch is held here and offered again, in order,
/// and `admission` refuses newcomers until it is gone. What one thread hands in, and what is held, leaves in order.
public final class BatchProcessor<Batch: TelemetryBatch>: RetiringStage {
    public let id: String
    private let next: any Consumer<Batch>
    private let metrics: BatchMetrics?
    private let logger: Logger?
    private let state: Mutex<State>
    private let timers = DispatchQueue(label: "batch-timers")

    private struct State {
        var assembler: BatchAssembler<Batch>
        /// Batches that the next stage refused, oldest first.
        var held: [Batch] = []
        /// Batches that some thread has taken out of the assembler and is handing on.
        var forwarding = 0
        var isStopping = false
    }

    private enum Step {
        case refuse(Refusal)
        case go(send: [Batch], timer: Duration?, generation: Int)
    }

    /// How soon a refused batch is offered again.
    private static var holdInterval: Duration { .milliseconds(50) }

    /// - Parameters:
    ///   - registry: nil for a collector inside an exporter, which is no processor of the user's.
    ///   - logger: is told when held items are lost because the next stage took none until the end of `shutdown`.
    public init(
        id: String, settings: BatchSettings, next: any Consumer<Batch>, registry: MetricRegistry?, logger: Logger? = nil
    ) {
        self.id = id
        self.next = next
        self.logger = logger
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
            if state.held.count >= PipelineLimits.admissionReserve { return .refuse(.queueFull) }
            let (send, timer) = state.assembler.add(batch, now: .now)
            state.forwarding += send.count
            return .go(send: send, timer: timer, generation: state.assembler.generation)
        }
        switch step {
        case .refuse(let refusal):
            return .retryable(refusal, after: nil)
        case .go(let send, let timer, let generation):
            for full in send {
                metrics?.sizeTriggers.add()
                forward(full)
            }
            if let timer { schedule(after: timer) { $0.timerFired(generation) } }
            return .accepted
        }
    }

    private func timerFired(_ generation: Int) {
        let batch = state.withLock { state in
            let batch = state.assembler.timerFired(generation: generation, now: .now)
            if batch != nil { state.forwarding += 1 }
            return batch
        }
        guard let batch else { return }
        metrics?.timeoutTriggers.add()
        forward(batch)
    }

    /// Hands a batch on that `forwarding` counts, or holds it: also when the next stage would take it, if an older one waits.
    private func forward(_ batch: Batch) {
        metrics?.size.observe(Double(batch.itemCount))
        let isTaken = state.withLock { $0.held.isEmpty } && offer(batch)
        let startOffering = state.withLock { state in
            state.forwarding -= 1
            guard !isTaken else { return false }
            state.held.append(batch)
            return state.held.count == 1
        }
        if startOffering { schedule(after: Self.holdInterval) { $0.offerHeld() } }
    }

    /// Asks first, so as not to use up the reserve that the next stage keeps for those who do.
    private func offer(_ batch: Batch) -> Bool {
        next.admission == .accepted && next.consume(batch) == .accepted
    }

    /// Offers held batches in order until one is refused again. Runs on `timers` only, and in one chain at a time.
    private func offerHeld() {
        while let batch = state.withLock({ $0.held.first }) {
            guard offer(batch) else {
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

    /// Sends on what is left; waits for room in the next stage until `deadline`. What is still held then stays in the write-ahead log, or
    /// is lost without it; both is logged.
    public func shutdown(deadline: ContinuousClock.Instant) async {
        giveUp(await retire(deadline: deadline), logger: logger)
    }

    /// Like `shutdown`, but returns what nobody has taken, in order, instead of giving it up.
    public func retire(deadline: ContinuousClock.Instant) async -> [Batch] {
        let rest: Batch? = state.withLock { state in
            state.isStopping = true
            let rest = state.assembler.take(now: .now)
            if rest != nil { state.forwarding += 1 }
            return rest
        }
        if let rest { forward(rest) }
        while state.withLock({ !$0.held.isEmpty || $0.forwarding > 0 }), ContinuousClock.now < deadline {
            try? await Task.sleep(for: PipelineLimits.shutdownPollInterval)
        }
        // On `timers`: not while `offerHeld` is at it, which would deliver a batch that is also returned.
        return await withCheckedContinuation { done in
            timers.async {
                let held = self.state.withLock { state in
                    defer { state.held = [] }
                    return state.held
                }
                done.resume(returning: held)
            }
        }
    }
}
