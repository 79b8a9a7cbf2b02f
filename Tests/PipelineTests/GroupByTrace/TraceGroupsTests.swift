import OTLPWire
import Testing
@testable import Pipeline

@Suite struct TraceGroupsTests {
    private let start = ContinuousClock.now

    private func groups(wait: Int = 10, tracesMax: Int = 100) -> TraceGroups {
        TraceGroups(config: GroupByTraceConfig(waitDuration: .seconds(wait), tracesMax: tracesMax))
    }

    private func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test func spansOfATraceLeaveTogetherWhenItsTimeIsUp() throws {
        var groups = groups()
        groups.add(try traceRequest([SpanName(1, 1), SpanName(2, 1), SpanName(1, 2)]), now: at(0))
        groups.add(try traceRequest([SpanName(3, 1), SpanName(1, 3)]), now: at(5))
        #expect(groups.traceCount == 3)
        #expect(groups.nextDeadline == at(10))
        let early = groups.takeDue(now: at(9))
        #expect(early == nil)
        let first = groups.takeDue(now: at(10))
        let due = try #require(first)
        #expect(names(due.batch) == [SpanName(1, 1), SpanName(1, 2), SpanName(1, 3), SpanName(2, 1)])
        #expect(due.traceCount == 2 && due.batch.itemCount == 4)
        #expect(groups.nextDeadline == at(15))
        let second = groups.takeDue(now: at(20))
        #expect(second.map { names($0.batch) } == [SpanName(3, 1)])
        #expect(groups.traceCount == 0 && groups.nextDeadline == nil && groups.bookkeepingBytes == 0)
    }

    @Test func aLateSpanStartsItsTraceAnew() throws {
        var groups = groups()
        groups.add(try traceRequest([SpanName(1, 1)]), now: at(0))
        let due = groups.takeDue(now: at(10))
        #expect(due?.traceCount == 1)
        groups.add(try traceRequest([SpanName(1, 2)]), now: at(11))
        let early = groups.takeDue(now: at(20))
        #expect(early == nil)
        let late = groups.takeDue(now: at(21))
        #expect(late.map { names($0.batch) } == [SpanName(1, 2)])
    }

    @Test func theOldestTracesAreTheExcess() throws {
        var groups = groups(tracesMax: 2)
        groups.add(try traceRequest([SpanName(1, 1), SpanName(2, 1), SpanName(3, 1), SpanName(4, 1), SpanName(1, 2)]), now: at(0))
        let excess = groups.takeExcess()
        #expect(excess.map { names($0.batch) } == [SpanName(1, 1), SpanName(1, 2), SpanName(2, 1)])
        let more = groups.takeExcess()
        #expect(groups.traceCount == 2 && more == nil)
    }

    @Test func aRequestIsFreedWithItsLastTrace() throws {
        let account = MemoryBudget(limitBytes: 1 << 30)
        var groups = groups()
        groups.add(try traceRequest([SpanName(1, 1), SpanName(2, 1)], account: account), now: at(0))
        let whole = account.usedBytes
        #expect(whole > 0)
        groups.add(try traceRequest([SpanName(2, 2)], account: account), now: at(1))
        _ = groups.takeOldest(1)
        #expect(account.usedBytes > whole)
        _ = groups.takeAll()
        #expect(account.usedBytes == 0)
    }

    @Test func aRequestCountsOnceInTheBytesOfWhatLeaves() throws {
        var groups = groups()
        let request = try traceRequest([SpanName(1, 1), SpanName(2, 1), SpanName(1, 2), SpanName(2, 2)])
        groups.add(request, now: at(0))
        let all = groups.takeAll()
        #expect(all?.batch.byteCount == request.byteCount)
    }

    /// Against a plain model: random requests, time steps and evictions.
    @Test(arguments: 0..<200) func nothingIsLostDoubledOrLeavesAtAnotherTime(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let tracesMax = Int.random(in: 1...6, using: &random)
        var groups = groups(wait: 5, tracesMax: tracesMax)
        var model: [(trace: UInt8, deadline: Int, spans: [SpanName])] = []
        var now = 0
        for step in 0..<60 {
            let spans = (0..<Int.random(in: 1...8, using: &random)).map { _ in
                SpanName(UInt8.random(in: 1...9, using: &random), UInt8(step))
            }
            groups.add(try traceRequest(spans), now: at(now))
            for span in spans {
                if let index = model.firstIndex(where: { $0.trace == span.trace }) {
                    model[index].spans.append(span)
                } else {
                    model.append((span.trace, now + 5, [span]))
                }
            }
            let excess = max(model.count - tracesMax, 0)
            let early = groups.takeExcess()
            #expect(early.map { names($0.batch) } ?? [] == model.prefix(excess).flatMap(\.spans))
            model.removeFirst(excess)
            now += Int.random(in: 0...3, using: &random)
            let due = model.prefix { $0.deadline <= now }
            let left = groups.takeDue(now: at(now))
            #expect(left.map { names($0.batch) } ?? [] == due.flatMap(\.spans))
            model.removeFirst(due.count)
            #expect(groups.traceCount == model.count && groups.nextDeadline == model.first.map { at($0.deadline) })
        }
    }
}

/// A small generator with a seed (splitmix64).
private struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

extension TraceGroups.Release: Equatable {
    public static func == (left: Self, right: Self) -> Bool {
        left.traceCount == right.traceCount && names(left.batch) == names(right.batch)
    }
}
