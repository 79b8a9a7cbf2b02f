import OTLPWire
import Synchronization
import Testing
@testable import Pipeline

/// Counts what the arenas of decoded requests hold.
private final class CountingAccount: ByteAccount {
    private let bytes = Atomic<Int>(0)
    var held: Int { bytes.load(ordering: .relaxed) }
    func charge(_ count: Int) { bytes.wrappingAdd(count, ordering: .relaxed) }
    func release(_ count: Int) { bytes.wrappingSubtract(count, ordering: .relaxed) }
}

@Suite struct SpanBatchTests {
    private let account = CountingAccount()

    /// A request of spans with the given span ids.
    private func request(_ ids: Range<UInt8>) throws -> SpanBatch {
        func field(_ number: UInt8, _ payload: [UInt8]) -> [UInt8] {
            precondition(payload.count < 0x4000)
            return [number << 3 | 2, UInt8(payload.count & 0x7F) | 0x80, UInt8(payload.count >> 7)] + payload
        }
        var spans: [UInt8] = []
        for id in ids {
            spans += field(2, field(1, [UInt8](repeating: 1, count: 16)) + field(2, [0, 0, 0, 0, 0, 0, 1, id]))
        }
        let message = field(1, field(2, spans))
        return SpanBatch(try message.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 7, account: account) })
    }

    private func ids(_ batch: SpanBatch) -> [UInt8] {
        var out: [UInt8] = []
        batch.forEach { reference in
            #expect(reference.receivedUnixNano == 7 && reference.adjustedCount == 1 && reference.decision == nil)
            out.append(UInt8(truncatingIfNeeded: reference.span.spanID.word))
        }
        return out
    }

    @Test func spansOfSeveralRequestsComeInOrder() throws {
        var batch = try request(0..<3)
        batch.append(try request(10..<12))
        #expect(batch.itemCount == 5)
        #expect(batch.byteCount == account.held)
        #expect(ids(batch) == [0, 1, 2, 10, 11])
    }

    @Test func slicesTakeTheFirstSpansAndLeaveTheRest() throws {
        for count in 0...9 {
            var batch = try request(0..<3)
            batch.append(try request(3..<4))
            batch.append(try request(4..<8))
            let taken = batch.removeFirst(count)
            let kept = min(count, 8)
            #expect(taken.itemCount == kept && batch.itemCount == 8 - kept)
            #expect(ids(taken) == Array(0..<UInt8(kept)))
            #expect(ids(batch) == Array(UInt8(kept)..<8))
        }
    }

    @Test func aRequestsMemoryIsFreedWithItsLastSlice() throws {
        var rest: SpanBatch? = try request(0..<6)
        let whole = account.held
        #expect(whole > 0)
        var first: SpanBatch? = rest?.removeFirst(2)
        var second: SpanBatch? = rest?.removeFirst(2)
        #expect(first?.itemCount == 2 && second?.itemCount == 2)
        first = nil
        rest = nil
        #expect(account.held == whole)
        second = nil
        #expect(account.held == 0)
    }

    @Test func aBatchGivesBackEachRequestAsItIsTakenOut() throws {
        var batch = try request(0..<2)
        let one = account.held
        batch.append(try request(2..<4))
        do {
            let taken = batch.removeFirst(2)
            #expect(taken.byteCount == one)
        }
        #expect(account.held == batch.byteCount && batch.itemCount == 2)
    }

    // MARK: Decisions

    /// Slices of one request of ten spans with decisions a, none, b.
    private func decided() throws -> (batch: SpanBatch, a: SamplingDecision, b: SamplingDecision) {
        let whole = try request(0..<10).slices[0]
        let a = SamplingDecision(
            adjustedCount: 2, reason: "a", traceState: .init(threshold: SamplingThreshold(probability: 0.5, precision: 4)))
        let b = SamplingDecision(adjustedCount: 10, reason: "b")
        return (SpanBatch(slices: [whole.part(0..<4, a), whole.part(4..<5), whole.part(6..<10, b)]), a, b)
    }

    /// Span id, decision's reason, adjusted count and tracestate of each span.
    private func described(_ batch: SpanBatch) -> [String] {
        var out: [String] = []
        batch.forEach { reference in
            let state = reference.withTraceState { String(decoding: $0, as: UTF8.self) }
            let id = reference.span.spanID.word & 0xFF
            out.append("\(id) \(reference.decision?.reason ?? "-") \(Int(reference.adjustedCount)) \(state)")
        }
        return out
    }

    private static let described = [
        "0 a 2 ot=th:8", "1 a 2 ot=th:8", "2 a 2 ot=th:8", "3 a 2 ot=th:8", "4 - 1 ", "6 b 10 ", "7 b 10 ", "8 b 10 ", "9 b 10 ",
    ]

    @Test func aDecisionStaysWithItsSpansWhereverABatchIsCut() throws {
        for count in 0...9 {
            var batch = try decided().batch
            let taken = batch.removeFirst(count)
            #expect(described(taken) == Array(Self.described[..<count]))
            #expect(described(batch) == Array(Self.described[count...]))
            // And when the pieces come together again, in another order.
            batch.append(taken)
            #expect(described(batch) == Array(Self.described[count...] + Self.described[..<count]))
        }
    }

    @Test func aPartHasTheDecisionOfItsWholeUnlessItIsGivenAnother() throws {
        let (batch, a, b) = try decided()
        let first = batch.slices[0]
        #expect(first.part(1..<3).decision === a)
        #expect(first.part(1..<3, b).decision === b && first.part(1..<3, nil).decision == nil)
        #expect(first.decision === a && first[3].decision === a)
    }

    @Test func sharedSlicesOfOneRequestCountItsMemoryOnce() throws {
        let batch = try decided().batch
        #expect(batch.itemCount == 9 && batch.byteCount == account.held)
    }

    @Test func whatAStageKeepsOfABatchInDoubtIsInDoubt() throws {
        var batch = try request(0..<4)
        let part = batch.slices[0].part(1..<2)
        #expect(!SpanBatch(slices: [part], of: batch).isReplayed)
        batch.markInDoubt()
        #expect(SpanBatch(slices: [part], of: batch).isReplayed && !SpanBatch(slices: [part]).isReplayed)
    }
}
