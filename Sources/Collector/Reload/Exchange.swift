import Configuration
import Logging
import Pipeline
import SelfTelemetry

/// Carries a transition out, step by step; each step leaves a collector that works.
///
/// 1. `startStages`: new exporters and processors run, nobody knows them yet. Failure: `withdraw`.
/// 2. `connect`: batches go the new way. What is on the old way goes on there.
/// 3. `exchangeReceivers`: old listeners go, new ones come. Failure: the old ones are back; `withdraw`.
/// 4. `retire`: what is replaced or removed empties itself, processors before exporters.
///
/// Nothing is lost in any of them: a stage is shut down only after the last link to it leads elsewhere, and hands on what it holds.
struct Exchange: Sendable {
    let transition: Transition
    let context: ComponentContext
    let inheritances: Inheritances
    let logger: Logger
    /// Bounds how long the stages that are left may take.
    let shutdownTimeout: Duration
    let begin = ContinuousClock.now

    // MARK: Forth

    /// Exporters first, then processors, from the end of each pipeline: nothing runs before what it hands data to.
    func startStages() async throws(StartFailure) {
        for exporter in transition.madeExporters { try await Self.start(exporter.component, "exporters.\(exporter.id)") }
        for processor in transition.madeProcessors { try await Self.start(processor.component, "processors.\(processor.id)") }
    }

    /// From the end of each pipeline backwards.
    func connect() async {
        for pipeline in transition.next.pipelines {
            for processor in pipeline.processors where Self.contains(transition.madeProcessors, processor) {
                let former = transition.former.pipeline(pipeline.id)?.processors.first { $0.id == processor.id }
                if let former, let stage = processor.component as? any RetiringStage<SpanBatch> { stage.succeed(former.component) }
            }
        }
        for connection in transition.connections { await connection.link.connect(to: connection.next) }
        for feeding in transition.feedings { feeding.pipeline.entry.replaceReceivers(feeding.next) }
        for redirection in transition.redirections { redirection.output.replaceRoute(redirection.next) }
        await settle()
    }

    /// Receivers hand on from their event loops: when each loop has had its turn, no call is left that knows a former route.
    private func settle() async {
        guard !transition.redirections.isEmpty else { return }
        // Fails only when the loop has ended, and its calls with it.
        for loop in context.group.makeIterator() { try? await loop.submit {}.get() }
    }

    func exchangeReceivers() async throws(StartFailure) {
        let plan = transition.plan.receivers
        let first = transition.plan.receiversStoppedFirst
        await stop(first.compactMap(transition.former.receiver))
        var started: [Assembly.Receiver] = []
        do throws(StartFailure) {
            for receiver in transition.madeReceivers {
                try await Self.start(receiver.made.component, "receivers.\(receiver.id)")
                started.append(receiver)
            }
        } catch {
            // A receiver that failed may have one of its listeners open.
            await stop(transition.madeReceivers)
            throw error
        }
        await stop(plan.retired.filter { !first.contains($0) }.compactMap(transition.former.receiver))
    }

    private func stop(_ receivers: [Assembly.Receiver]) async {
        let deadline = begin + shutdownTimeout * ReloadLimits.receiverShare
        await withTaskGroup { tasks in
            for receiver in receivers { tasks.addTask { await receiver.made.component.shutdown(deadline: deadline) } }
        }
    }

    static func start(_ component: any Component, _ place: String) async throws(StartFailure) {
        do {
            try await component.start()
        } catch {
            throw StartFailure(place: place, cause: error)
        }
    }

    // MARK: Back

    /// Undoes what was done, whichever step failed: batches go the old way again, what was made empties itself into it.
    ///
    /// - Parameter receiversWereStopped: `exchangeReceivers` was called.
    /// - Returns: the former assembly. Its stopped receivers are made anew, since one that was shut down does not start again.
    func withdraw(receiversWereStopped: Bool) async -> Assembly {
        for redirection in transition.redirections { redirection.output.replaceRoute(redirection.former) }
        await settle()
        for feeding in transition.feedings { feeding.pipeline.entry.replaceReceivers(feeding.former) }
        for connection in transition.connections.reversed() { await connection.link.connect(to: connection.former) }
        var restored = transition.former
        for id in receiversWereStopped ? transition.plan.receiversStoppedFirst : [] {
            guard let index = restored.receivers.firstIndex(where: { $0.id == id }),
                let receiver = Transition.makeReceiver(id, restored.blueprints, restored.receivers[index].route, context)
            else { continue }
            restored.receivers[index] = receiver
            do throws(StartFailure) {
                try await Self.start(receiver.made.component, "receivers.\(id)")
            } catch {
                logger.error("a receiver could not be started again: it takes no data", metadata: ["reason": "\(error)"])
            }
        }
        await drain(
            transition.next.pipelines.map { pipeline in
                let heirs = transition.former.pipeline(pipeline.id)
                return pipeline.processors.indices.filter { Self.contains(transition.madeProcessors, pipeline.processors[$0]) }
                    .map { Retiree(pipeline, $0, heirs: heirs) }
            },
            transition.madeExporters.map { Retiree($0, heir: transition.former.exporter($0.id)) })
        return restored
    }

    private static func contains(_ processors: [Assembly.Processor], _ processor: Assembly.Processor) -> Bool {
        processors.contains { $0.component === processor.component }
    }

    // MARK: Afterwards

    /// Empties and ends what the new assembly does without.
    func retire() async {
        await drain(
            transition.former.pipelines.map { pipeline in
                let heirs = transition.next.pipeline(pipeline.id)
                return pipeline.processors.indices.filter { !Self.contains(heirs?.processors ?? [], pipeline.processors[$0]) }
                    .map { Retiree(pipeline, $0, heirs: heirs) }
            },
            transition.retiredExporters.map { Retiree($0, heir: transition.next.exporter($0.id)) })
    }

    /// - Parameter chains: stages of each pipeline in the order a span meets them: each can still hand on to the next.
    private func drain(_ chains: [[Retiree]], _ exporters: [Retiree]) async {
        let processorDeadline = begin + shutdownTimeout * ReloadLimits.processorShare
        await withTaskGroup { tasks in
            for chain in chains {
                tasks.addTask {
                    for processor in chain { await end(processor, processorDeadline) }
                }
            }
        }
        let exporterDeadline = begin + shutdownTimeout * ReloadLimits.exporterShare
        await withTaskGroup { tasks in
            for exporter in exporters { tasks.addTask { await end(exporter, exporterDeadline) } }
        }
    }

    private func end(_ retiree: Retiree, _ deadline: ContinuousClock.Instant) async {
        if let heir = retiree.heir, let stage = retiree.component as? any RetiringStage<SpanBatch> {
            inheritances.deliver(await stage.retire(deadline: deadline), to: heir, from: retiree.place)
        } else {
            await retiree.component.shutdown(deadline: deadline)
        }
    }
}

/// A stage on its way out.
private struct Retiree: Sendable {
    let place: String
    let component: any Component
    /// Gets what it could not deliver.
    let heir: TraceConsumer?

    init(_ exporter: Assembly.Exporter, heir: Assembly.Exporter?) {
        place = "exporters.\(exporter.id)"
        component = exporter.component
        self.heir = heir?.outlet
    }

    /// What a processor leaves has met those before it but not those after it: it enters the pipeline's new chain at the first stage
    /// that came after it in the old one, or behind the last stage. Where work is left undone, the processor's successor comes first.
    init(_ pipeline: Assembly.Pipeline, _ index: Int, heirs: Assembly.Pipeline?) {
        place = "processors.\(pipeline.processors[index].id)"
        component = pipeline.processors[index].component
        let isUndone = (component as? any RetiringStage<SpanBatch>)?.leavesWorkUndone ?? false
        let later = pipeline.processors[(isUndone ? index : index + 1)...].map(\.id)
        let next = later.lazy.compactMap { id in heirs?.processors.first { $0.id == id } }.first
        heir = next?.input ?? heirs.map { $0.processors.last?.output ?? $0.head }
    }
}

extension ReceiverOutput {
    fileprivate func replaceRoute(_ route: Assembly.Route) {
        replaceEntries(route.entries, bystanders: route.bystanders, rewriter: route.rewriter)
    }
}

/// Which component could not be started, and why; one line.
struct StartFailure: Error, CustomStringConvertible {
    let place: String
    let cause: any Error

    var description: String { "\(place): \(cause)" }
}
