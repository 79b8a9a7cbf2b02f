import Pipeline
import Testing

@testable import Exporters

@Suite struct SQLiteReplayTests {
    private let fixture: SQLiteFixture

    init() throws {
        fixture = try SQLiteFixture()
    }

    private func replayed(_ requests: [[UInt8]]) async throws -> (ReplayLog, WriteAheadLog, [SpanBatch]) {
        let store = ReplayLog()
        let first = try await store.run(requests, received: Sample.received)
        await first.log.close(deadline: .now + .seconds(20))
        let second = try await store.replay()
        return (store, second.log, second.batches)
    }

    @Test func onlyWhatTheFormerRunDidNotStoreIsInserted() async throws {
        var random = RandomSpans(seed: 99)
        let spans = (0..<200).map { _ in random.span() }
        let half = Model.request(Array(spans[..<100]))
        let (_, log, batches) = try await replayed([half, Model.request(Array(spans[100...]))])
        let store = fixture.store()
        // What the former run did before it was killed: COMMIT was through, the release was not.
        #expect(store.write(try Model.batch(half, received: Sample.received)) == .written)
        for _ in 0..<2 {
            for batch in batches {
                #expect(batch.isReplayed)
                #expect(store.write(batch) == .written)
            }
        }
        #expect(try fixture.value("select count(*) from traces") == "200")
        #expect(try fixture.value("select count(distinct trace_id || span_id) from traces") == "200")
        #expect(try fixture.value("select count(*) from spans where resource_attributes is null") == "0")
        await log.close(deadline: .now + .seconds(20))
    }

    @Test func aSpanThatARequestHoldsTwiceIsStoredTwiceAndNotAgain() async throws {
        let span = Sample.span(7)
        let request = Model.request([span, span])
        let (_, log, batches) = try await replayed([request])
        let store = fixture.store()
        for _ in 0..<3 { #expect(store.write(try #require(batches.first)) == .written) }
        #expect(try fixture.value("select count(*) from traces") == "2")
        await log.close(deadline: .now + .seconds(20))
    }

    @Test func lookingUpUsesTheIndexOfTraceIDs() throws {
        try fixture.store().open()
        let connection = try SQLiteConnection(path: fixture.path)
        let plan = try SQLiteStatement(connection, "explain query plan " + TracesColumn.insertMissingStatement)
        var steps: [String] = []
        while try plan.step() { steps.append(plan.text(3) ?? "") }
        #expect(steps.contains { $0.contains("USING INDEX idx_traces_trace (trace_id=?") }, "\(steps)")
        #expect(!steps.contains { $0.contains("SCAN traces") }, "\(steps)")
    }
}
