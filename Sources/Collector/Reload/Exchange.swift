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
        for connection in transition.connections { await connection.link.connect(to: connection.next) }
        for feeding in transition.feedings { feeding.pipeline.entry.replaceNext(feeding.pipeline.head, receivers: feeding.next) }
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
        for feeding in transition.feedings { feeding.pipeline.entry.replaceNext(feeding.pipeline.head, receivers: feeding.former) }
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
        let processors = transition.madeProcessors.reversed().map(\.component)
        await drain([processors], transition.madeExporters.map { ($0, transition.former.exporter($0.id)) })
        return restored
    }

    // MARK: Afterwards

    /// Empties and ends what the new assembly does without.
    func retire() async {
        let processors = transition.retiredProcessors.map { $0.map(\.component) }
        await drain(processors, transition.retiredExporters.map { ($0, transition.next.exporter($0.id)) })
    }

    private func drain(
        _ chains: [[any Component]], _ exporters: [(old: Assembly.Exporter, heir: Assembly.Exporter?)]
    ) async {
        let processorDeadline = begin + shutdownTimeout * ReloadLimits.processorShare
        await withTaskGroup { tasks in
            for chain in chains {
                tasks.addTask {
                    for processor in chain { await processor.shutdown(deadline: processorDeadline) }
                }
            }
        }
        let exporterDeadline = begin + shutdownTimeout * ReloadLimits.exporterShare
        await withTaskGroup { tasks in
            for (old, heir) in exporters {
                tasks.addTask { await end(old, heir, exporterDeadline) }
            }
        }
    }

    private func end(_ old: Assembly.Exporter, _ heir: Assembly.Exporter?, _ deadline: ContinuousClock.Instant) async {
        if let heir, let exporter = old.component as? any RetiringExporter<SpanBatch> {
            inheritances.deliver(await exporter.retire(deadline: deadline), to: heir)
        } else {
            await old.component.shutdown(deadline: deadline)
        }
    }
}

extension ReceiverOutput {
    fileprivate func replaceRoute(_ route: Assembly.Route) {
        replaceEntries(route.entries, bystanders: route.bystanders)
    }
}

/// Which component could not be started, and why; one line.
struct StartFailure: Error, CustomStringConvertible {
    let place: String
    let cause: any Error

    var description: String { "\(place): \(cause)" }
}
