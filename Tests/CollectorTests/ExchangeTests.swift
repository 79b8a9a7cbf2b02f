import Pipeline
import SelfTelemetry
import Synchronization
import Testing
@testable import Collector

private final class Flag: Sendable {
    private let state = Atomic<Bool>(false)
    var value: Bool { state.load(ordering: .relaxed) }
    func set() { state.store(true, ordering: .relaxed) }
}

@Suite struct ExchangeTests {
    typealias Pipelines = [([String], [String], [String])]

    private func exchange(_ world: DiaryWorld, from former: Assembly = Assembly(), to pipelines: Pipelines) throws -> Exchange {
        let logger = world.context.loggers.logger("test")
        return Exchange(
            transition: Transition(from: former, to: try world.blueprints(pipelines), world.context), context: world.context,
            inheritances: Inheritances(registry: world.registry, logger: logger), logger: logger, shutdownTimeout: .seconds(10))
    }

    private func started(_ world: DiaryWorld, _ pipelines: Pipelines) async throws -> Assembly {
        try await reloaded(world, from: Assembly(), to: pipelines)
    }

    private func reloaded(_ world: DiaryWorld, from former: Assembly, to pipelines: Pipelines) async throws -> Assembly {
        let exchange = try exchange(world, from: former, to: pipelines)
        try await exchange.startStages()
        await exchange.connect()
        try await exchange.exchangeReceivers()
        await exchange.retire()
        await exchange.inheritances.finish(deadline: .now)
        return exchange.transition.next
    }

    @Test func theStartGoesFromTheEndOfThePipelineToItsBeginning() async throws {
        let world = DiaryWorld()
        _ = try await started(world, [(["r"], ["p", "q"], ["a"])])
        #expect(world.diary.take() == ["+a", "+q", "+p", "+r"])
    }

    @Test func aReloadThatChangesNothingTouchesNothing() async throws {
        let world = DiaryWorld()
        let first = try await started(world, [(["r"], ["p", "q"], ["a"]), (["r"], [], ["b"])])
        _ = world.diary.take()
        let second = try await reloaded(world, from: first, to: [(["r"], ["p", "q"], ["a"]), (["r"], [], ["b"])])
        #expect(world.diary.take() == [])
        #expect(zip(first.all, second.all).allSatisfy { $0.component === $1.component })
        #expect(try world.way(second, from: "r") == ["r", "p", "q", "a", "b"])
    }

    @Test func aReplacedProcessorStandsBetweenItsOldNeighbours() async throws {
        let world = DiaryWorld()
        let first = try await started(world, [(["r"], ["o", "p=1", "q"], ["a"])])
        _ = world.diary.take()
        let second = try await reloaded(world, from: first, to: [(["r"], ["o", "p=2", "q"], ["a"])])
        #expect(world.diary.take() == ["+p=2", "-p=1"])
        #expect(try world.way(second, from: "r") == ["r", "o", "p=2", "q", "a"])
    }

    @Test func aReplacedExporterIsReachedByEveryPipelineWithoutTouchingThem() async throws {
        let world = DiaryWorld()
        let first = try await started(world, [(["r"], ["p"], ["a=1"]), (["r"], [], ["a=1", "b"])])
        _ = world.diary.take()
        let second = try await reloaded(world, from: first, to: [(["r"], ["p"], ["a=2"]), (["r"], [], ["a=2", "b"])])
        #expect(world.diary.take() == ["+a=2", "-a=1"])
        #expect(try world.way(second, from: "r") == ["r", "p", "a=2", "a=2", "b"])
    }

    @Test func processorsEndBeforeExportersAndEachBeforeTheNext() async throws {
        let world = DiaryWorld()
        let first = try await started(world, [(["r"], ["p=1", "q=1"], ["a=1"])])
        _ = world.diary.take()
        _ = try await reloaded(world, from: first, to: [(["r"], ["p=2", "q=2"], ["a=2"])])
        #expect(world.diary.take() == ["+a=2", "+q=2", "+p=2", "-p=1", "-q=1", "-a=1"])
    }

    @Test func pipelinesComeAndGoWhileTheirReceiverStays() async throws {
        let world = DiaryWorld()
        let first = try await started(world, [(["r"], ["p"], ["a"])])
        let second = try await reloaded(world, from: first, to: [(["r"], ["p"], ["a"]), (["r", "s"], ["p"], ["b"])])
        _ = world.diary.take()
        #expect(try world.way(second, from: "r") == ["r", "p", "a", "p", "b"])
        let third = try await reloaded(world, from: second, to: [(["r"], ["p"], ["a"])])
        #expect(world.diary.take() == ["-s", "-p", "-b"])
        #expect(try world.way(third, from: "r") == ["r", "p", "a"])
        #expect(third.receivers.first?.made.component === first.receivers.first?.made.component)
    }

    @Test func aReceiverThatNeedsTheOldOnesPortWaitsForItsEnd() async throws {
        let world = DiaryWorld()
        let first = try await started(world, [(["r=1@1"], [], ["a"])])
        _ = world.diary.take()
        let second = try await reloaded(world, from: first, to: [(["r=2@1"], [], ["a"])])
        #expect(world.diary.take() == ["-r=1", "+r=2"])
        _ = try await reloaded(world, from: second, to: [(["r=3@2"], [], ["a"])])
        #expect(world.diary.take() == ["+r=3", "-r=2"])
    }

    // MARK: Failures

    @Test func anExporterThatCannotStartLeavesEverythingAsItWas() async throws {
        var world = DiaryWorld()
        world.cannotStart = ["b"]
        let first = try await started(world, [(["r"], ["p"], ["a"])])
        _ = world.diary.take()
        let exchange = try exchange(world, from: first, to: [(["r"], ["p", "q"], ["a", "b"])])
        await #expect(throws: StartFailure.self) { try await exchange.startStages() }
        let restored = await exchange.withdraw(receiversWereStopped: false)
        _ = world.diary.take()
        #expect(try world.way(restored, from: "r") == ["r", "p", "a"])
        #expect(zip(first.all, restored.all).allSatisfy { $0.component === $1.component })
    }

    @Test(arguments: [
        ("r=2@1", ["+a=2", "+p=2", "-r=1", "-r=2", "+r=1", "-p=2", "-a=2"]), ("r=2@2", ["+a=2", "+p=2", "-r=2", "-p=2", "-a=2"]),
    ])
    func aReceiverThatCannotStartBringsTheFormerConfigurationBack(_ changed: String, _ expected: [String]) async throws {
        var world = DiaryWorld()
        world.cannotStart = ["r=2"]
        let first = try await started(world, [(["r=1@1"], ["p=1"], ["a=1"])])
        _ = world.diary.take()
        let exchange = try exchange(world, from: first, to: [([changed], ["p=2"], ["a=2"])])
        try await exchange.startStages()
        await exchange.connect()
        await #expect(throws: StartFailure.self) { try await exchange.exchangeReceivers() }
        let restored = await exchange.withdraw(receiversWereStopped: true)
        #expect(world.diary.take() == expected)
        #expect(try world.way(restored, from: "r") == ["r=1", "p=1", "a=1"])
    }

    // MARK: Leftovers

    @Test func whatAnExporterCouldNotDeliverGoesToItsReplacementInDoubt() async throws {
        var world = DiaryWorld()
        world.isStuck = ["a=1"]
        let first = try await started(world, [(["r"], [], ["a=1"])])
        _ = try world.way(first, from: "r")
        _ = try await reloaded(world, from: first, to: [(["r"], [], ["a=2"])])
        #expect(world.diary.take() == ["+a=2", "-a=1", "a=2?"])
    }

    @Test func whatAProcessorCouldNotHandOnEntersTheNewChainWhereItLeftTheOldOne() async throws {
        var world = DiaryWorld()
        world.isStuck = ["p=1"]
        let first = try await started(world, [(["r"], ["o", "p=1", "x", "q=1"], ["a"])])
        _ = world.diary.take()
        #expect(try world.way(first, from: "r") == ["r", "o", "p=1"])
        _ = try await reloaded(world, from: first, to: [(["r"], ["q=2", "o", "p=2"], ["a"])])
        let after = world.diary.take().filter { !$0.hasPrefix("+") && !$0.hasPrefix("-") }
        // It has not met q in the old chain, so it meets it in the new one, and what now comes after that.
        #expect(after.first == "q=2?" && after.last == "a?")
        let lost = world.registry.prometheusText().contains("collector_config_reload_lost_items_total 0")
        #expect(lost)
    }

    @Test func whatNobodyTakesUntilTheStopIsCountedAsLost() async throws {
        let world = DiaryWorld()
        let logger = world.context.loggers.logger("test")
        let inheritances = Inheritances(registry: world.registry, logger: logger)
        let gone = DiaryStage("a", "a", world.diary)
        await gone.shutdown(deadline: .now)
        inheritances.deliver([try DiaryWorld.oneSpan()], to: gone, from: "exporters.a")
        await inheritances.finish(deadline: .now)
        #expect(world.registry.prometheusText().contains("collector_config_reload_lost_items_total 1\n"))
    }

    // MARK: Under load

    @Test func batchesThatPassDuringManyReloadsAreNeitherRefusedNorLost() async throws {
        let world = DiaryWorld()
        let variants: [Pipelines] = [
            [(["r"], ["p=1"], ["a=1"])], [(["r"], ["p=2", "q"], ["a=1"])], [(["r"], ["q"], ["a=2", "b"])], [(["r"], [], ["a=2"])],
        ]
        var assembly = try await started(world, variants[0])
        let receiver = try #require(assembly.receivers.first?.made.component as? DiaryStage)
        let isOver = Flag()
        let accepted = Counter()
        let refused = Counter()
        let batch = try DiaryWorld.oneSpan()
        let loads = world.context.group.makeIterator().map { loop in
            Task {
                while !isOver.value {
                    // As real receivers do: from their event loops.
                    let outcome = try? await loop.submit { receiver.consume(batch) }.get()
                    if outcome == .accepted { accepted.add() } else { refused.add() }
                }
            }
        }
        var exporters: [ObjectIdentifier: DiaryStage] = [:]
        for round in 1...100 {
            for exporter in assembly.exporters where exporter.id.description == "a" {
                if let stage = exporter.component as? DiaryStage { exporters[ObjectIdentifier(stage)] = stage }
            }
            let before = accepted.value
            assembly = try await reloaded(world, from: assembly, to: variants[round % variants.count])
            while accepted.value == before, refused.value == 0 { await Task.yield() }
        }
        for exporter in assembly.exporters {
            if let stage = exporter.component as? DiaryStage, stage.id == "a" { exporters[ObjectIdentifier(stage)] = stage }
        }
        isOver.set()
        for load in loads { await load.value }
        #expect(refused.value == 0)
        #expect(exporters.count > 20)
        #expect(exporters.values.reduce(0) { $0 + $1.itemCount.value } == accepted.value)
        #expect(exporters.values.allSatisfy { $0.refusedCount.value == 0 })
    }
}
