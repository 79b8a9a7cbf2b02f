import OTLPWire
import Pipeline
import Testing

@testable import Sampling

private let second: Int64 = 1_000_000_000

/// What becomes of spans, case by case; the ledger checks every count after each step.
@Suite struct TailShardsTests {
    @Test func aKeptTraceLeavesWholeAndInOrderFromManyRequestsAndSlices() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors, "decide_early: false"), shards: 3)
        for request in 0..<10 as Range<UInt64> {
            let spans = (0..<30 as Range<UInt64>).map { TestSpan.of($0 % 5, request * 30 + $0 + 1, isError: request == 9 && $0 == 2) }
            try ledger.add(spans, cuts: [3, 4, 11, 29], at: Int64(request) * second)
        }
        try ledger.advance(to: 30 * second)
        try ledger.checkMemory()
        #expect(ledger.kept.count == 60 && ledger.droppedCount == 240)
        #expect(ledger.fate(2)?.decision == TailDecision(isKept: true, policy: 0, adjustedCount: 1))
        #expect(ledger.fate(3)?.decision == TailDecision.none)
        #expect(ledger.newTraces == 5)
    }

    @Test func nothingIsDecidedBeforeItsTimeAndAllAtIt() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors, "decision_wait: 10s"))
        try ledger.add([.of(1)], at: 5 * second)
        try ledger.add([.of(1, 2), .of(2)], at: 14 * second)
        #expect(ledger.shards.nextDeadline == 15 * second)
        try ledger.advance(to: 15 * second - 1)
        #expect(ledger.causes.isEmpty)
        try ledger.advance(to: 15 * second)
        #expect(ledger.causes == [.due: 1] && ledger.droppedCount == 2)
        try ledger.advance(to: 24 * second)
        #expect(ledger.causes == [.due: 2])
        #expect(ledger.shards.nextDeadline == nil)
    }

    @Test func aRootBringsTheDecisionForwardNeverBack() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors, "decision_wait: 10s\ndecision_wait_after_root_received: 2s"))
        try ledger.add([.of(1), .of(2)], at: 0)
        try ledger.add([.of(1, 2, isRoot: true)], at: 3 * second)
        // A second root is nothing new.
        try ledger.add([.of(1, 3, isRoot: true)], at: 4 * second)
        #expect(ledger.shards.nextDeadline == 5 * second)
        try ledger.advance(to: 5 * second - 1)
        #expect(ledger.fate(1) == nil)
        try ledger.advance(to: 5 * second)
        #expect(ledger.fate(1)?.cause == .due && ledger.fate(2) == nil)
        try ledger.add([.of(2, 2, isRoot: true)], at: 9 * second)
        try ledger.advance(to: 10 * second - 1)
        #expect(ledger.fate(2) == nil)
        try ledger.advance(to: 10 * second)
        #expect(ledger.fate(2)?.cause == .due)
    }

    @Test func lateSpansShareTheFateOfTheirTrace() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors))
        try ledger.add([.of(1, isError: true), .of(2)], at: 0)
        #expect(ledger.causes == [.early: 1], "an error is kept as soon as it comes")
        try ledger.advance(to: 30 * second)
        let late = try ledger.add([.of(2, 2, isError: true), .of(1, 2), .of(2, 3), .of(1, 3)], at: 40 * second)
        try ledger.checkMemory()
        #expect(ledger.causes == [.early: 1, .due: 1, .late: 4])
        #expect(ledger.keptCounts(request: late).keys.sorted() == [1, 3] && ledger.droppedCount == 3)
        #expect(ledger.shards.traceCount == 0 && ledger.newTraces == 2)
    }

    @Test func spansOfATraceThatIsForgottenBeginItAnew() throws {
        let caches = "decision_cache: {sampled_cache_size: 2, non_sampled_cache_size: 2}"
        let ledger = TailLedger(try tailConfig(TailPolicy.errors, caches), remembersAll: false)
        for trace in 1...4 as ClosedRange<UInt64> { try ledger.add([.of(trace, isError: true)], at: 0) }
        try ledger.add([.of(1, 2), .of(4, 2)], at: second)
        #expect(ledger.fate(1)?.cause == .early && ledger.shards.traceCount == 1, "1 is forgotten, 4 is not")
        try ledger.advance(to: 40 * second)
        #expect(ledger.fate(1)?.decision.isKept == false && ledger.droppedCount == 1)
        #expect(ledger.causes == [.early: 4, .late: 1, .due: 1])
    }

    @Test func withOneTraceTooManyTheOldestIsDecidedAbout() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.many + "\n" + TailPolicy.errors, "num_traces: 3"))
        try ledger.add([.of(1), .of(2), .of(3)], at: 0)
        #expect(ledger.causes.isEmpty)
        try ledger.add([.of(4), .of(3, 2), .of(5)], at: 1)
        #expect(ledger.causes == [.overflow: 2] && ledger.fate(1)?.cause == .overflow && ledger.fate(2)?.cause == .overflow)
        #expect(ledger.shards.traceCount == 3)
    }

    @Test func producersThatWaitGetMoreRoomThanTheyAreToldOf() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors, "num_traces: 3\nblock_on_overflow: true"))
        try ledger.add((1...6).map { TestSpan.of($0) }, at: 0)
        #expect(ledger.causes.isEmpty)
        try ledger.add([.of(7)], at: 0)
        #expect(ledger.causes == [.overflow: 1])
    }

    @Test func aTraceThatIsTooLargeIsDropped() throws {
        let size = try TestSpan.batch([.of(1, isError: true)])[0].encodedByteCount
        let config = try tailConfig(TailPolicy.many, "maximum_trace_size_bytes: \(size * 3)\ndecide_early: false")
        let ledger = TailLedger(config)
        for span in 1...3 as ClosedRange<UInt64> { try ledger.add([.of(1, span, isError: true)], at: 0) }
        #expect(ledger.causes.isEmpty)
        try ledger.add([.of(1, 4, isError: true)], at: 0)
        #expect(ledger.fate(1)?.cause == .tooLarge && ledger.droppedCount == 4)
        try ledger.add([.of(1, 5)], at: 0)
        #expect(ledger.causes == [.tooLarge: 1, .late: 1] && ledger.droppedCount == 5)
    }

    @Test(arguments: [1, 4]) func withTooManyBytesTheOldestAreDecidedAboutUntilThereIsRoom(shards: Int) throws {
        let one = try TestSpan.batch([.of(1)]).byteCount
        let ledger = TailLedger(try tailConfig(TailPolicy.errors), shards: shards, bytesMax: 100 * one)
        for trace in 1...100 as ClosedRange<UInt64> { try ledger.add([.of(trace)], at: 0) }
        #expect(ledger.causes.isEmpty && ledger.shards.heldBytes == 100 * one)
        try ledger.add([.of(101)], at: 0)
        let overflows = ledger.causes[.overflow] ?? 0
        #expect(overflows >= 11 && ledger.causes.count == 1)
        #expect(ledger.fate(1) != nil, "the oldest is among them")
        #expect(ledger.shards.heldBytes == (101 - overflows) * one)
        try ledger.checkMemory()
    }

    @Test func aRequestThatIsLargerThanTheLimitIsDecidedAboutAtOnce() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors), shards: 2, bytesMax: 100)
        try ledger.add((1...50).map { TestSpan.of($0) }, at: 0)
        try ledger.checkMemory()
        #expect(ledger.causes == [.overflow: 50] && ledger.shards.heldBytes == 0)
    }

    @Test func aRequestInSeveralShardsAndSlicesCountsOnceUntilItsLastSpanIsDecidedAbout() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors, "decision_wait: 10s"), shards: 8)
        let request = try TestSpan.batch((1...40).map { TestSpan.of($0) })
        let bytes = request.byteCount
        try ledger.add(request, cuts: [1, 2, 3, 7, 20], at: 0)
        #expect(ledger.shards.heldBytes == bytes)
        // All but one.
        try ledger.add((1...39).map { TestSpan.of($0, 2, isError: true) }, at: 0)
        #expect(ledger.shards.heldBytes == bytes && ledger.shards.traceCount == 1)
        try ledger.advance(to: 10 * second)
        #expect(ledger.shards.heldBytes == 0)
    }

    @Test func aClockThatGoesBackDelaysAndHurtsNothing() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors, "decision_wait: 10s"))
        try ledger.add([.of(1)], at: 100 * second)
        try ledger.add([.of(2)], at: 20 * second)
        try ledger.advance(to: 30 * second)
        #expect(ledger.causes.isEmpty)
        try ledger.advance(to: 110 * second)
        #expect(ledger.causes == [.due: 2])
    }

    @Test func aWaitForEverIsJustThat() throws {
        let config = try tailConfig(TailPolicy.errors, "decision_wait: 2562047h\ndecision_wait_after_root_received: 2562047h")
        let ledger = TailLedger(config)
        try ledger.add([.of(1, isRoot: true)], at: 0)
        try ledger.add([.of(2, isRoot: true)], at: Int64.max - 5)
        try ledger.advance(to: Int64.max - 1)
        #expect(ledger.shards.traceCount == 1, "the first one's 292 years are over")
        #expect(Duration.seconds(Int64.max).nanoseconds == .max && Duration.seconds(Int64.min).nanoseconds == .min)
        #expect((Duration.seconds(9_223_372_036) + .milliseconds(900)).nanoseconds == .max)
    }

    @Test func decisionsMultiplyWithThoseBeforeUsSpanBySpan() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.half, "decide_early: false"))
        var spans = (1...4).map { TestSpan.of(7, $0) }
        spans[1].traceState = "ot=th:8"
        spans[2].traceState = "ot=th:c"
        var trace: UInt64 = 7
        // One that the policy keeps.
        while true {
            let own = spans.map { span in
                var span = span
                span.traceID.1 = trace
                return span
            }
            let request = try ledger.add(own, at: 0)
            let other = try ledger.add(
                [.of(trace, 9)], decision: SamplingDecision(adjustedCount: 3, reason: "head"), at: 0)
            try ledger.advance(to: Int64(trace) * 100 * second)
            if ledger.fate(trace)?.decision.isKept == true {
                #expect(ledger.keptCounts(request: request) == [0: 2, 1: 4, 2: 8, 3: 2])
                #expect(ledger.keptCounts(request: other) == [0: 6])
                let late = try ledger.add(own, decision: nil, at: Int64(trace) * 100 * second)
                #expect(ledger.keptCounts(request: late) == [0: 2, 1: 4, 2: 8, 3: 2])
                break
            }
            trace += 1
            try #require(trace < 100)
        }
    }

    @Test func theReasonIsThePolicysAndTheTracestateStaysAsTheSamplerBeforeLeftIt() throws {
        let shards = TailShards(try tailConfig(TailPolicy.always), shards: 1, bytesMax: .max, seed: 1)
        let change = SamplingDecision.TraceStateChange(threshold: SamplingThreshold(probability: 0.5, precision: 4))
        let whole = SpanSlice(try TestSpan.batch([.of(1), .of(2)]))
        let before = SamplingDecision(adjustedCount: 2, reason: "head", traceState: change)
        let output = shards.add(SpanBatch(slices: [whole.part(0..<1, before), whole.part(1..<2)]), now: 0)
        #expect(output.kept.map { $0.decision?.reason } == ["all", "all"])
        #expect(output.kept.map { $0.decision?.adjustedCount } == [2, 1])
        #expect(output.kept.map { $0.decision?.traceState } == [change, nil])
    }

    @Test(arguments: [0, 1, UInt64.max, 1_700_000_000_000_000_000], [0, 1, UInt64.max, 1_800_000_000_000_000_000])
    func noTimeOfASpanHurts(start: UInt64, end: UInt64) throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.slow + "\n" + TailPolicy.errors))
        var span = TestSpan.of(1)
        (span.start, span.end) = (start, end)
        try ledger.add([span, .of(1, 2), span], at: 0)
        try ledger.advance(to: 31 * second)
        #expect(ledger.kept.count + ledger.droppedCount == 3)
    }

    @Test func aLateSpanThatIsDroppedIsLetGoOnlyWithItsDecision() throws {
        let shards = TailShards(try tailConfig(TailPolicy.errors), shards: 2, bytesMax: .max, seed: 1)
        _ = shards.add(SpanBatch(try TestSpan.batch([.of(1)])), now: 0)
        _ = shards.decideDue(now: 31 * second)
        let late = try TestSpan.batch([.of(1, 2)])
        let output = shards.add(SpanBatch(late), now: 32 * second)
        #expect(output.decided.map(\.cause) == [.late] && output.freed.contains { $0.batch === late })
    }

    @Test func everythingUndecidedIsTakenOutOnce() throws {
        let ledger = TailLedger(try tailConfig(TailPolicy.errors), shards: 4)
        for step in 0..<50 {
            let spans = (0..<40).map { TestSpan.of(UInt64(step + $0), UInt64($0 + 1), isError: ($0 + step) % 37 == 0) }
            try ledger.add(spans, cuts: [10, 20], at: Int64(step) * second)
        }
        let (waiting, traces) = (ledger.shards.spanCount, ledger.shards.traceCount)
        #expect(traces > 0)
        #expect(try ledger.takeAll() == waiting)
        #expect(try ledger.takeAll() == 0)
        try ledger.checkMemory()
        #expect(ledger.shards.heldBytes == 0 && ledger.shards.traceCount == 0)
    }

    @Test func whatAFormerRunDecidedHoldsAndItsLastWordDoes() throws {
        let caches = "decision_cache: {sampled_cache_size: 0, non_sampled_cache_size: 0}"
        let shards = TailShards(try tailConfig(TailPolicy.errors, caches), shards: 3, bytesMax: .max, seed: 8)
        let kept = DecisionCache.Kept(policy: UInt16(shards.names.number(of: "gone")), adjustedCount: 4)
        func id(_ low: UInt64) -> TraceID { TraceID(high: 1, low: low) }
        var notes = (1...500).map { DecisionNote(id: id($0), kept: $0 % 2 == 0 ? kept : nil) }
        notes += [DecisionNote(id: id(2), kept: nil), DecisionNote(id: id(1), kept: kept)]
        shards.remember(notes)
        let output = shards.add(SpanBatch(try TestSpan.batch((1...501).map { TestSpan.of($0, isError: $0 == 501) })), now: 0)
        let leaving = output.kept.filter { $0.decision?.reason == "gone" }
        #expect(leaving.count == 250 && leaving.allSatisfy { $0.decision?.adjustedCount == 4 })
        let ids = Set(leaving.map { $0.batch[$0.range.lowerBound].traceID.low })
        #expect(ids.contains(1) && !ids.contains(2) && ids.contains(4) && !ids.contains(3))
        #expect(output.decided.filter { $0.cause == .late }.count == 500)
    }
}
