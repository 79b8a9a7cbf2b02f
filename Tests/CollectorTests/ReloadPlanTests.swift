import Configuration
import Testing
@testable import Collector

@Suite struct ReloadPlanTests {
    private func id(_ text: String) -> ComponentID { ComponentID(text) ?? ComponentID(type: "invalid") }
    private func ids(_ text: String) -> [ComponentID] { text.split(separator: " ").map { id(String($0)) } }

    /// Pipelines as `id: receivers > processors > exporters`. A component is written `id=text@port` where text and port matter.
    private func topology(_ pipelines: String...) -> Topology {
        var topology = Topology()
        for line in pipelines {
            let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
            let lists = parts[1].split(separator: ">", omittingEmptySubsequences: false).map { list in
                list.split(separator: " ").map { word in
                    let fields = word.split(separator: "@")
                    let names = fields[0].split(separator: "=")
                    let ports = fields.dropFirst().compactMap { Int($0) }
                    return (id: id(String(names[0])), text: names.count > 1 ? String(names[1]) : "", ports: ports)
                }
            }
            for receiver in lists[0] { topology.receivers[receiver.id] = .init(text: receiver.text, ports: receiver.ports) }
            for processor in lists[1] { topology.processors[processor.id] = processor.text }
            for exporter in lists[2] { topology.exporters[exporter.id] = exporter.text }
            topology.pipelines.append(
                .init(id: id(parts[0]), receivers: lists[0].map(\.id), processors: lists[1].map(\.id), exporters: lists[2].map(\.id)))
        }
        return topology
    }

    private func change(_ kept: String = "", added: String = "", replaced: String = "", removed: String = "") -> ReloadPlan.Change {
        ReloadPlan.Change(kept: ids(kept), added: ids(added), replaced: ids(replaced), removed: ids(removed))
    }

    @Test func theSameConfigurationLeavesEverythingAsItIs() {
        let same = topology("t: r=1@4317 > p=1 q=1 > a=1 b=1", "t/two: r=1@4317 > > b=1")
        let plan = ReloadPlan(from: same, to: same)
        #expect(plan.isEmpty)
        #expect(plan.receivers == change("r"))
        #expect(plan.exporters == change("a b"))
        #expect(plan.pipelines.map(\.processors) == [change("p q"), change()])
        #expect(plan.redirectedReceivers == [] && plan.receiversStoppedFirst == [])
    }

    @Test func theFirstStartIsAChangeFromNothing() {
        let plan = ReloadPlan(from: Topology(), to: topology("t: r > p > a"))
        #expect(plan.receivers == change(added: "r"))
        #expect(plan.exporters == change(added: "a"))
        #expect(plan.pipelines == [.init(id: id("t"), isAdded: true, processors: change(added: "p"), isRewired: true)])
        #expect(plan.receiversStoppedFirst == [])
    }

    @Test func aChangedProcessorIsReplacedAndNothingElse() {
        let plan = ReloadPlan(from: topology("t: r > o p=1 q > a"), to: topology("t: r > o p=2 q > a"))
        #expect(plan.receivers == change("r"))
        #expect(plan.exporters == change("a"))
        #expect(plan.pipelines == [.init(id: id("t"), processors: change("o q", replaced: "p"), isRewired: true)])
    }

    @Test func aChangedExporterKeepsThePipelinesThatLeadToIt() {
        let plan = ReloadPlan(from: topology("t: r > p > a=1 b"), to: topology("t: r > p > a=2 b"))
        #expect(plan.exporters == change("b", replaced: "a"))
        #expect(plan.pipelines == [.init(id: id("t"), processors: change("p"))])
        #expect(!plan.isEmpty)
    }

    @Test func anotherExporterRewiresThePipelineAndKeepsItsProcessors() {
        let plan = ReloadPlan(from: topology("t: r > p > a"), to: topology("t: r > p > b"))
        #expect(plan.exporters == change(added: "b", removed: "a"))
        #expect(plan.pipelines == [.init(id: id("t"), processors: change("p"), isRewired: true)])
    }

    @Test func insertedAndRemovedProcessorsLeaveTheirNeighbours() {
        let plan = ReloadPlan(from: topology("t: r > o p > a"), to: topology("t: r > n p m > a"))
        #expect(plan.pipelines == [.init(id: id("t"), processors: change("p", added: "n m", removed: "o"), isRewired: true)])
    }

    @Test(arguments: [("p q", "q p"), ("p=1 q", "q p=2"), ("o p q", "q o p"), ("p o q", "q x p")])
    func afterAChangeOfOrderNoProcessorOfThePipelineIsKept(_ old: String, _ new: String) {
        let plan = ReloadPlan(from: topology("t: r > \(old) > a", "t/b: r > x > a"), to: topology("t: r > \(new) > a", "t/b: r > x > a"))
        #expect(plan.pipelines[0].processors.kept == [])
        #expect(plan.pipelines[0].processors.made.count == new.split(separator: " ").count)
        #expect(plan.pipelines[0].processors.retired.count == old.split(separator: " ").count)
        #expect(plan.pipelines[1].isEmpty)
    }

    @Test func aProcessorInTwoPipelinesIsJudgedInEach() {
        let plan = ReloadPlan(
            from: topology("t: r > p=1 > a", "t/b: r > q p=1 > a"), to: topology("t: r > p=1 > a", "t/b: r > q > a"))
        #expect(plan.pipelines[0].isEmpty)
        #expect(plan.pipelines[1] == .init(id: id("t/b"), processors: change("q", removed: "p"), isRewired: true))
    }

    @Test func anAddedPipelineRedirectsTheReceiversThatFeedItToo() {
        let plan = ReloadPlan(from: topology("t: r s > > a"), to: topology("t: r s > > a", "t/b: r > p > a"))
        #expect(plan.receivers == change("r s"))
        #expect(plan.redirectedReceivers == [id("r")])
        #expect(plan.pipelines.map(\.isAdded) == [false, true])
        #expect(plan.removedPipelines == [])
    }

    @Test func aRemovedPipelineTakesWithItWhatOnlyItUsed() {
        let plan = ReloadPlan(from: topology("t: r > > a", "t/b: r s > p > a b"), to: topology("t: r > > a"))
        #expect(plan.removedPipelines == [id("t/b")])
        #expect(plan.receivers == change("r", removed: "s"))
        #expect(plan.exporters == change("a", removed: "b"))
        #expect(plan.redirectedReceivers == [id("r")])
        #expect(plan.pipelines.filter { !$0.isEmpty } == [])
    }

    @Test func pipelinesThatOnlySwapPlacesAreKeptAndReceiversFollowTheNewOrder() {
        let plan = ReloadPlan(from: topology("t: r > p > a", "t/b: r > p > a"), to: topology("t/b: r > p > a", "t: r > p > a"))
        #expect(plan.pipelines.filter { !$0.isEmpty } == [])
        #expect(plan.redirectedReceivers == [id("r")])
    }

    @Test(arguments: [
        // A new port: the new one is up before the old one goes.
        ("r=1@4317@4318", "r=2@4319@4320", ""),
        // The same port: the old one has to go first.
        ("r=1@4317@4318", "r=2@4317@4318", "r"), ("r=1@4317@4318", "r=2@4319@4318", "r"),
        // The system picks the port.
        ("r=1@0", "r=2@0", ""),
        // Another receiver takes the port over.
        ("r=1@4317", "s=1@4317", "r"),
        // Two swap ports.
        ("r=1@1 s=1@2", "r=2@2 s=2@1", "r s"),
        // A kept one is in nobody's way.
        ("r=1@1 s=1@2", "r=1@1 s=2@3", ""),
    ])
    func aReceiverIsStoppedFirstOnlyWhenItsPortIsNeeded(_ old: String, _ new: String, _ first: String) {
        let plan = ReloadPlan(from: topology("t: \(old) > > a"), to: topology("t: \(new) > > a"))
        #expect(plan.receiversStoppedFirst == ids(first))
    }

    /// Every pair of small topologies: what comes out is consistent, whatever went in.
    @Test func noComponentIsForgottenOrListedTwice() {
        var topologies: [Topology] = []
        for processors in ["", "p=1", "p=2", "p=1 q=1", "q=1 p=1", "q=1 p=2"] {
            for exporters in ["a=1", "a=2", "b=1", "a=1 b=1"] {
                topologies.append(topology("t: r=1@1 > \(processors) > \(exporters)"))
                topologies.append(topology("t: r=2@1 s=1@2 > \(processors) > a=1", "t/b: s=1@2 > p=1 > \(exporters)"))
            }
        }
        for old in topologies {
            for new in topologies {
                let plan = ReloadPlan(from: old, to: new)
                #expect(plan.isEmpty == (old == new))
                check(plan.receivers, old.usedReceivers, new.usedReceivers)
                check(plan.exporters, old.usedExporters, new.usedExporters)
                #expect(plan.pipelines.map(\.id) == new.pipelines.map(\.id))
                for (pipeline, change) in zip(new.pipelines, plan.pipelines) {
                    check(change.processors, old.pipeline(pipeline.id)?.processors ?? [], pipeline.processors)
                    // Kept ones have the same order in both, and are the same.
                    #expect(change.processors.kept.allSatisfy { old.processors[$0] == new.processors[$0] })
                }
            }
        }
    }

    private func check(_ change: ReloadPlan.Change, _ old: [ComponentID], _ new: [ComponentID]) {
        #expect((change.kept + change.made).map(\.description).sorted() == new.map(\.description).sorted())
        #expect((change.kept + change.retired).map(\.description).sorted() == old.map(\.description).sorted())
        #expect(change.kept == old.filter(change.kept.contains))
    }

    @Test func aKeptReceiverIsRedirectedWhenWhatRewritesItsRequestsChanges() {
        var (old, new) = (topology("t: r=1 > p=1 > a"), topology("t: r=1 > p=2 > a"))
        #expect(ReloadPlan(from: old, to: new).redirectedReceivers == [])
        old.rewriters = [id("r"): "1"]
        #expect(ReloadPlan(from: old, to: new).redirectedReceivers == [id("r")])
        new.rewriters = [id("r"): "2"]
        #expect(ReloadPlan(from: old, to: new).redirectedReceivers == [id("r")])
        old.rewriters = new.rewriters
        #expect(ReloadPlan(from: old, to: new).redirectedReceivers == [])
    }
}
