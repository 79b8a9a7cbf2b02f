import Dispatch
import Pipeline
import Testing

@testable import Exporters

/// Batches that the write-ahead log replays after a crash: each span is in the table once, whatever the former run did.
@Suite(.serialized, .needsPostgreSQL)
struct ReplayDatabaseTests {
    private let cancellation = Cancellation()
    private let received = Model.noon + 5_000_000_000

    private func close(_ log: WriteAheadLog) async { await log.close(deadline: .now + .seconds(20)) }

    @Test func whatTheFormerRunStoredIsNotStoredAgainAndTheRestIs() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let store = ReplayLog()
            let requests = (0..<4).map { Model.request(Model.spans(50, first: $0 * 50)) }
            let first = try await store.run(requests, received: received)
            for batch in first.batches {
                #expect(!batch.isReplayed)
            }
            let writer = database.writer().writer
            for batch in first.batches.prefix(2) { #expect(writer.write(batch, cancellation: cancellation) == .written) }
            await close(first.log)

            let second = try await store.replay()
            #expect(second.batches.count == 4)
            let (next, context) = database.writer()
            for batch in second.batches {
                #expect(batch.isReplayed)
                #expect(next.write(batch, cancellation: cancellation) == .written)
            }
            #expect(try database.spans() == Model.spans(200))
            #expect(context.metrics.lookedUp.value == 200)
            await close(second.log)
        }
    }

    /// Starts that are not believed, or at the edges of what the columns hold: the key (trace_id, span_id, ts) must be the same again.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func theKeyOfAnySpanComesOutTheSame(seed: UInt64) async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            var random = RandomSpans(seed: seed)
            let requests = (0..<10).map { _ in Model.request((0..<50).map { _ in random.span() }) }
            let store = ReplayLog()
            let first = try await store.run(requests, received: received + 123)
            let writer = database.writer().writer
            for batch in first.batches { #expect(writer.write(batch, cancellation: cancellation) == .written) }
            await close(first.log)
            let second = try await store.replay()
            let next = database.writer().writer
            for batch in second.batches { #expect(next.write(batch, cancellation: cancellation) == .written) }
            #expect(try database.count("traces") == 500)
            await close(second.log)
        }
    }

    /// Begins what a former run's backend did: rows sent, COMMIT not yet.
    private func leftBehind(_ database: TestDatabase, _ batch: SpanBatch) throws -> Connection {
        let connection = try Connection(database.options, interrupter: Interrupter())
        let statements = CopyStatements(schema: SQLIdentifier(name: "public"))
        _ = try connection.startCopy(statements.copy(batch.run))
        try CopyFile.encode(batch).bytes.withUnsafeBytes { bytes in try connection.sendCopy(bytes) }
        try connection.endCopy()
        return connection
    }

    private func waitForBarrier(_ connection: Connection) throws {
        let waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
        while try connection.query(waiting).isEmpty {}
    }

    @Test func aCommitOfTheFormerRunThatComesLateDoublesNothing() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let store = ReplayLog()
            let first = try await store.run([Model.request(Model.spans(40))], received: received)
            let old = try leftBehind(database, try #require(first.batches.first))
            await close(first.log)

            let second = try await store.replay()
            let batch = try #require(second.batches.first)
            let config = database.config()
            let writer = database.writer(config).writer
            let cancellation = cancellation
            let writing = BlockingThread { #expect(writer.write(batch, cancellation: cancellation) == .written) }
            try waitForBarrier(database.connection)
            guard case .committed = old.commit() else {
                Issue.record("not committed")
                return
            }
            writing.join()
            #expect(try database.spans() == Model.spans(40))
            await close(second.log)
        }
    }

    @Test func aBackendOfTheFormerRunThatNeverEndsIsEndedAndItsRowsAreWritten() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let store = ReplayLog()
            let first = try await store.run([Model.request(Model.spans(40))], received: received)
            let old = try leftBehind(database, try #require(first.batches.first))
            await close(first.log)
            let second = try await store.replay()
            let batch = try #require(second.batches.first)
            #expect(database.writer().writer.write(batch, cancellation: cancellation) == .written)
            guard case .lost = old.commit() else {
                Issue.record("the old backend is alive")
                return
            }
            #expect(try database.spans() == Model.spans(40))
            await close(second.log)
        }
    }

    @Test(arguments: [FaultProxy.Fault.loseCommitAnswer, .loseCommit, .holdCommit])
    func aReplayedBatchWhoseOwnCommitIsLostIsStillStoredOnce(fault: FaultProxy.Fault) async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let store = ReplayLog()
            let first = try await store.run([Model.request(Model.spans(30))], received: received)
            let earlier = database.writer().writer
            #expect(earlier.write(try Model.batch(Model.spans(10)), cancellation: cancellation) == .written)
            await close(first.log)
            let second = try await store.replay()
            let batch = try #require(second.batches.first)
            let proxy = try FaultProxy(serverPort: try #require(Int(try database.value("select inet_server_port()") ?? "")))
            defer { proxy.stop() }
            let (writer, context) = database.writer(database.config(database.options(proxy.parameters)))
            // One write to pass the barrier, whose COMMIT is none that matters.
            #expect(writer.write(batch, cancellation: cancellation) == .written)
            try database.connection.query("delete from traces where span_id > '\\x0000000000000014'")
            proxy.set(fault)
            var attempts = 0
            while writer.write(batch, cancellation: cancellation) != .written, attempts < 20 { attempts += 1 }
            #expect(attempts == 1)
            #expect(proxy.hitCount == 1)
            #expect(context.metrics.inDoubt.value == 1)
            #expect(try database.spans() == Model.spans(30))
            await close(second.log)
        }
    }

    @Test func whatIsMarkedInDoubtInTheSameRunWaitsForTheAttemptThatMayStillCommit() async throws {
        try await TestDatabase.with { (database: TestDatabase) async throws in
            try database.migrate()
            let store = ReplayLog()
            let requests = [Model.request(Model.spans(20)), Model.request(Model.spans(1, first: 20))]
            let run = try await store.run(requests, received: received)
            var doubtful = try #require(run.batches.first)
            let writer = database.writer().writer
            // The run's first transaction; what is open before that would be a remnant of an earlier process.
            #expect(writer.write(try #require(run.batches.last), cancellation: cancellation) == .written)
            let old = try leftBehind(database, doubtful)
            doubtful.markInDoubt()
            let batch = doubtful
            let cancellation = cancellation
            let writing = BlockingThread { #expect(writer.write(batch, cancellation: cancellation) == .written) }
            try waitForBarrier(database.connection)
            guard case .committed = old.commit() else {
                Issue.record("not committed")
                return
            }
            writing.join()
            #expect(try database.spans() == Model.spans(21))
            await close(run.log)
        }
    }
}
