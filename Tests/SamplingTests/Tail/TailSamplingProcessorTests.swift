import Dispatch
import OTLPWire
import Synchronization
import Testing

@testable import Pipeline
@testable import Sampling

@Suite struct TailSamplingProcessorTests {
    private static let soon = "decision_wait: 20ms"
    private static let never = "decision_wait: 3600s"

    @Test func tracesLeaveOrGoAtTheirTimeAndAreCounted() throws {
        let stage = TailStage(try tailConfig(TailPolicy.errors + "\n" + TailPolicy.noHealth, Self.soon + "\ndecide_early: false"))
        var health = TestSpan.of(3)
        health.attributes = [("route", .string("/health"))]
        #expect(try stage.consume([.of(1), .of(2), health]) == .accepted)
        #expect(try stage.consume([.of(1, 2, isError: true)]) == .accepted)
        let left = stage.next.spans(atLeast: 2)
        #expect(left == [1, 2].map { LeftSpan(trace: 1, span: $0, adjustedCount: 1, reason: "errors") })
        #expect(eventually { stage.metric("global_count_traces_sampled_total") == 3 })
        #expect(stage.metric("new_trace_id_received_total") == 3)
        #expect(stage.metric("global_count_traces_sampled_total", "sampled=\"true\"") == 1)
        #expect(stage.metric("count_traces_sampled_total", "policy=\"errors\"", "sampled=\"true\"") == 1)
        #expect(stage.metric("count_spans_sampled_total", "policy=\"errors\"", "sampled=\"true\"") == 2)
        #expect(stage.metric("count_traces_sampled_total", "policy=\"no-health\"", "decision=\"dropped\"") == 1)
        #expect(stage.metric("count_traces_sampled_total", "policy=\"\"", "decision=\"not_sampled\"") == 1)
        #expect(stage.metric("sampling_trace_removal_age_count") == 3)
        #expect(stage.metric("sampling_traces_on_memory") == 0)
        // Late spans, of both fates.
        #expect(try stage.consume([.of(1, 3), .of(2, 2), .of(2, 3)]) == .accepted)
        #expect(stage.next.spans(atLeast: 3).count == 3)
        #expect(stage.metric("early_releases_from_cache_decision_total", "sampled=\"true\"") == 1)
        #expect(stage.metric("early_releases_from_cache_decision_total", "sampled=\"false\"") == 2)
        #expect(eventually { stage.budget.usedBytes < 100_000 }, "the requests are gone")
    }

    @Test func everyReasonForAnEarlyDecisionIsCounted() async throws {
        let size = try TestSpan.batch([.of(1)])[0].encodedByteCount
        let stage = TailStage(
            try tailConfig(TailPolicy.errors, Self.never + "\nnum_traces: 2\nnum_shards: 1\nmaximum_trace_size_bytes: \(size * 2)"))
        #expect(stage.metric("sampling_traces_on_memory") == 0)
        _ = try stage.consume([.of(1), .of(2), .of(3)])
        #expect(stage.metric("sampling_trace_dropped_too_early_total") == 1)
        _ = try stage.consume([.of(2, 2), .of(2, 3)])
        #expect(stage.metric("traces_dropped_too_large_total") == 1)
        _ = try stage.consume([.of(4, isError: true)])
        #expect(stage.metric("traces_decided_early_total") == 1)
        #expect(stage.metric("sampling_traces_on_memory") == 1)
        await stage.processor.shutdown(deadline: .now + patience)
        #expect(stage.metric("traces_decided_at_shutdown_total") == 1)
        #expect(stage.metric("sampling_traces_on_memory") == 0)
        #expect(stage.metric("global_count_traces_sampled_total") == 4)
    }

    @Test func whileTheNextStageRefusesNothingIsDecidedNewcomersAreRefusedAndNothingIsLost() throws {
        let stage = TailStage(try tailConfig(TailPolicy.many, Self.soon + "\ndecide_early: false"), next: SpanCollector(.refuses))
        for span in 1...4 as ClosedRange<UInt64> { #expect(try stage.consume([.of(1, span)]) == .accepted) }
        #expect(stage.processor.admission == SpanCollector.refusal)
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .milliseconds(200) { #expect(stage.metric("sampling_traces_on_memory") == 1) }
        stage.next.become(.takes)
        #expect(stage.next.spans(atLeast: 4).map(\.span) == [1, 2, 3, 4])
        #expect(stage.processor.admission == .accepted)
    }

    @Test func whatIsRefusedAfterAllIsOfferedAgainInItsOrderAndOthersAreDecidedAboutMeanwhile() throws {
        let stage = TailStage(
            try tailConfig(TailPolicy.errors, Self.soon), next: SpanCollector(.refusesAnyway))
        for span in 1...10 as ClosedRange<UInt64> { #expect(try stage.consume([.of(1, span, isError: true)]) == .accepted) }
        #expect(try stage.consume([.of(2)]) == .accepted)
        #expect(eventually { stage.metric("global_count_traces_sampled_total", "sampled=\"false\"") == 1 })
        #expect(stage.next.spans.isEmpty)
        stage.next.become(.takes)
        #expect(stage.next.spans(atLeast: 10).map(\.span) == Array(1...10))
    }

    @Test func decisionsThatCannotBeCarriedOutAreNotPiledUp() throws {
        let stage = TailStage(try tailConfig(TailPolicy.always, Self.never), next: SpanCollector(.refusesAnyway))
        var accepted = 0
        var firstRefusal: Int?
        for trace in 1...1_000 as ClosedRange<UInt64> {
            if firstRefusal == nil, stage.processor.admission != .accepted { firstRefusal = accepted }
            guard try stage.consume([.of(trace)]) == .accepted else { break }
            accepted += 1
        }
        #expect((firstRefusal ?? 0) >= TailLimits.waitingMax && (firstRefusal ?? .max) < accepted)
        #expect(accepted >= TailLimits.waitingMax + PipelineLimits.admissionReserve && accepted < 1_000)
        stage.next.become(.takes)
        #expect(stage.next.spans(atLeast: accepted).count == accepted)
    }

    @Test func whatTheNextStageRefusesForGoodIsCounted() throws {
        let stage = TailStage(try tailConfig(TailPolicy.always, Self.never), next: SpanCollector(.refusesForGood))
        #expect(try stage.consume([.of(1), .of(2)]) == .accepted)
        #expect(eventually { stage.metric("refused_spans_total") == 2 })
        stage.next.become(.takes)
        #expect(try stage.consume([.of(3)]) == .accepted)
        #expect(stage.next.spans(atLeast: 1).map(\.trace) == [3])
    }

    @Test func aShutdownWithoutTheLogDecidesWithWhatHasCome() async throws {
        let stage = TailStage(try tailConfig(TailPolicy.errors, Self.never + "\ndecide_early: false"))
        _ = try stage.consume([.of(1, isError: true), .of(2), .of(1, 2)])
        await stage.processor.shutdown(deadline: .now + patience)
        #expect(stage.next.spans.map(\.trace) == [1, 1])
        #expect(try stage.consume([.of(3)]) == .retryable(.shuttingDown, after: nil))
        #expect(stage.processor.admission == .retryable(.shuttingDown, after: nil))
    }

    @Test func pendingTracesAreDroppedAtShutdownIfThatIsWished() async throws {
        let stage = TailStage(
            try tailConfig(TailPolicy.errors, Self.never + "\ndecide_early: false\ndrop_pending_traces_on_shutdown: true"))
        _ = try stage.consume([.of(1, isError: true), .of(2)])
        await stage.processor.shutdown(deadline: .now + patience)
        #expect(stage.next.spans.isEmpty && stage.metric("sampling_traces_on_memory") == 0)
    }

    @Test func aSuccessorGetsWhatIsUndecidedAndWhatWasNotTaken() async throws {
        let stage = TailStage(try tailConfig(TailPolicy.errors, Self.never), next: SpanCollector(.refusesAnyway))
        _ = try stage.consume([.of(1), .of(2, 1, isError: true), .of(1, 2)])
        let left = await stage.processor.retire(deadline: .now)
        var spans: [String] = []
        for batch in left { batch.forEach { spans.append("\($0.span.traceID.low)/\($0.span.spanID.word) \($0.decision?.reason ?? "-")") } }
        #expect(spans == ["2/1 errors", "1/1 -", "1/2 -"])
        #expect(stage.next.spans.isEmpty && stage.metric("sampling_traces_on_memory") == 0)
    }

    @Test func aSuccessorDoesNotDecideAgainAboutWhatWasKept() async throws {
        let stage = TailStage(try tailConfig(TailPolicy.fourth, "decision_wait: 1ms"), next: SpanCollector(.refusesAnyway))
        // Ids as random as clients' are: the policy's hash is for such.
        _ = try stage.consume((1...200).map { TestSpan.of($0 &* 0x9E37_79B9_7F4A_7C15) })
        #expect(eventually { stage.metric("global_count_traces_sampled_total") == 200 })
        let kept = stage.metric("count_spans_sampled_total", "sampled=\"true\"")
        #expect(kept > 20 && kept < 90)
        let left = await stage.processor.retire(deadline: .now)
        let successor = TailStage(try tailConfig(TailPolicy.fourth + "\n" + TailPolicy.errors, Self.never))
        for batch in left { #expect(successor.processor.consume(batch) == .accepted) }
        let spans = successor.next.spans(atLeast: Int(kept))
        #expect(spans.count == Int(kept) && spans.allSatisfy { $0.adjustedCount == 4 && $0.reason == "fourth" })
        #expect(successor.metric("sampling_traces_on_memory") == 0)
    }

    @Test func producersThatAreToWaitAreRefusedAtTheLimitAndLetInAfterIt() throws {
        let stage = TailStage(
            try tailConfig(TailPolicy.errors, "decision_wait: 200ms\nnum_traces: 4\nblock_on_overflow: true"))
        for trace in 1...4 as ClosedRange<UInt64> {
            #expect(stage.processor.admission == .accepted)
            _ = try stage.consume([.of(trace)])
        }
        #expect(stage.processor.admission == .retryable(.queueFull, after: nil))
        #expect(eventually { stage.processor.admission == .accepted })
        #expect(eventually { stage.metric("global_count_traces_sampled_total") == 4 })
        #expect(stage.metric("sampling_trace_dropped_too_early_total") == 0)
    }

    @Test func aRootBringsTheTimerForward() throws {
        let stage = TailStage(try tailConfig(TailPolicy.errors, Self.never + "\ndecision_wait_after_root_received: 10ms"))
        _ = try stage.consume([.of(1)])
        // The timer has looked, and nothing is due for an hour.
        #expect(eventually { stage.metric("sampling_decision_timer_latency_count") >= 1 })
        _ = try stage.consume([.of(2, isRoot: true)])
        #expect(eventually { stage.metric("global_count_traces_sampled_total") == 1 })
        #expect(stage.metric("sampling_traces_on_memory") == 1)
    }

    @Test func withoutMemoryTheOlderHalfIsDecidedAbout() throws {
        let stage = TailStage(try tailConfig(TailPolicy.errors, Self.never + "\nnum_shards: 1"), budgetBytes: 1)
        _ = try stage.consume((1...8).map { TestSpan.of($0) })
        #expect(stage.metric("sampling_trace_dropped_too_early_total") == 4 && stage.metric("sampling_traces_on_memory") == 4)
    }

    @Test func allMemoryIsGivenBack() async throws {
        var stage: TailStage? = TailStage(try tailConfig(TailPolicy.errors, Self.soon))
        let budget = try #require(stage?.budget)
        for trace in 1...200 as ClosedRange<UInt64> { _ = try stage?.consume([.of(trace), .of(trace % 7 + 1, isError: trace % 5 == 0)]) }
        await stage?.processor.shutdown(deadline: .now + patience)
        stage = nil
        #expect(eventually { budget.usedBytes == 0 })
    }

    @Test func twoPipelinesDecideAboutTheSameRequestEachForItself() async throws {
        let errors = TailStage(try tailConfig(TailPolicy.errors, Self.soon))
        let rest = TailStage(
            try tailConfig(
                "{name: fine, type: status_code, status_code: {status_codes: [UNSET]}}", Self.soon))
        let account = TestAccount()
        try {
            for trace in 1...50 as ClosedRange<UInt64> {
                let batch = SpanBatch(try TestSpan.batch([.of(trace, isError: trace % 2 == 0)], account: account))
                #expect(errors.processor.consume(batch) == .accepted && rest.processor.consume(batch) == .accepted)
            }
        }()
        #expect(Set(errors.next.spans(atLeast: 25).map(\.trace)) == Set((1...50).filter { $0 % 2 == 0 }))
        #expect(Set(rest.next.spans(atLeast: 25).map(\.trace)) == Set((1...50).filter { $0 % 2 == 1 }))
        #expect(eventually { account.count == 0 })
    }

    /// Several threads bring spans while timers decide, the next stage is moody, and the stage is replaced in the middle of it.
    @Test(arguments: 0..<6) func whateverThreadsDoEachSpanThatWasTakenHasOneFate(round: Int) async throws {
        let settings = "decision_wait: \(round % 3 * 4)ms\nnum_traces: \(round % 2 == 0 ? 50 : 100_000)\ndecide_early: \(round > 3)"
        let stage = TailStage(try tailConfig(TailPolicy.always, settings), bytesMax: round == 5 ? 100_000 : .max)
        let taken = Mutex<Set<UInt64>>([])
        let isOver = Atomic<Bool>(false)
        let threads = DispatchGroup()
        for thread in 0..<3 as Range<UInt64> {
            DispatchQueue.global().async(group: threads) {
                var next: UInt64 = 0
                while !isOver.load(ordering: .relaxed) {
                    let spans = (0..<5 as Range<UInt64>).map { TestSpan.of((next + $0) % 400 + 1, thread << 40 | next * 5 + $0 + 1) }
                    guard let outcome = try? stage.consume(spans) else { return }
                    if outcome == .accepted { taken.withLock { $0.formUnion(spans.map(\.spanID)) } }
                    if outcome == .retryable(.shuttingDown, after: nil) { return }
                    next += 1
                    if next % 64 == 0 { stage.next.become([.takes, .refuses, .refusesAnyway, .takes][Int(next / 64) % 4]) }
                }
            }
        }
        #expect(!stage.next.spans(atLeast: 3_000).isEmpty)
        let left = await stage.processor.retire(deadline: .now + .milliseconds(20))
        isOver.store(true, ordering: .relaxed)
        await withCheckedContinuation { done in threads.notify(queue: .global()) { done.resume() } }
        var found = stage.next.spans.map(\.span)
        for batch in left { batch.forEach { found.append($0.span.spanID.word) } }
        #expect(found.count == Set(found).count, "none twice")
        let missing = taken.withLock { $0.subtracting(found).count }
        #expect(missing == 0 && found.count == taken.withLock { $0.count })
        #expect(stage.metric("sampling_traces_on_memory") == 0)
    }
}
