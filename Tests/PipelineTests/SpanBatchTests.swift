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
}
