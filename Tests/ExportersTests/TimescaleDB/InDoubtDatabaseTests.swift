import OTLPWire
import Pipeline
import Testing

@testable import Exporters

/// Connections that break at the worst moments, between the writer and a real PostgreSQL: each span ends up in the table once.
@Suite(.serialized, .needsPostgreSQL)
struct InDoubtDatabaseTests {
    private let cancellation = Cancellation()

    private func withProxy(_ body: (TestDatabase, FaultProxy, TimescaleDBWriter, TimescaleDBContext) throws -> Void) throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let port = try #require(Int(try database.value("select inet_server_port()") ?? ""))
            let proxy = try FaultProxy(serverPort: port)
            defer { proxy.stop() }
            let (writer, context) = database.writer(database.config(database.options(proxy.parameters)))
            try body(database, proxy, writer, context)
        }
    }

    /// Offers the batch until it is written; how often that took.
    private func writeUntilDone(_ writer: TimescaleDBWriter, _ batch: SpanBatch) -> Int {
        for attempt in 1...20 {
            if case .retryable = writer.write(batch, cancellation: cancellation) { continue }
            return attempt
        }
        return -1
    }

    @Test func aCommitWhoseAnswerIsLostIsNotRepeated() throws {
        try withProxy { database, proxy, writer, context throws in
            proxy.set(.loseCommitAnswer)
            #expect(writeUntilDone(writer, try Model.batch(Model.spans(50))) == 2)
            #expect(proxy.hitCount == 1)
            #expect(context.metrics.inDoubt.value == 1)
            #expect(try database.count("traces") == 50)
        }
    }

    @Test func aCommitThatDidNotArriveIsRepeated() throws {
        try withProxy { database, proxy, writer, _ throws in
            proxy.set(.loseCommit)
            #expect(writeUntilDone(writer, try Model.batch(Model.spans(50))) == 2)
            #expect(proxy.hitCount == 1)
            #expect(try database.count("traces") == 50)
        }
    }

    @Test(arguments: [true, false])
    func aCommitInProgressIsWaitedFor(commits: Bool) throws {
        try withProxy { database, proxy, writer, _ throws in
            proxy.set(.holdCommit)
            let batch = try Model.batch(Model.spans(50))
            guard case .retryable = writer.write(batch, cancellation: cancellation) else {
                Issue.record("the commit was not held")
                return
            }
            proxy.waitUntilHolding()
            let observer = try Connection(database.options, interrupter: Interrupter())
            let releaser = BlockingThread {
                // Until the writer has asked for the transaction's status.
                while (try? observer.query("select 1 from pg_stat_activity where query like '%pg_xact_status(''%'"))?.isEmpty == true {}
                proxy.release(commit: commits)
            }
            #expect(writeUntilDone(writer, batch) == 1)
            releaser.join()
            #expect(try database.count("traces") == 50)
        }
    }

    @Test func aBackendThatHoldsOnToALostTransactionIsEnded() throws {
        try withProxy { database, proxy, writer, _ throws in
            proxy.set(.holdCommit)
            let batch = try Model.batch(Model.spans(5))
            _ = writer.write(batch, cancellation: cancellation)
            proxy.waitUntilHolding()
            #expect(writeUntilDone(writer, batch) == 1)
            #expect(try database.count("traces") == 5)
        }
    }

    @Test(arguments: [2_000, 60_000, 300_000])
    func aConnectionCutInMidCopyLeavesNothingBehind(bytes: Int) throws {
        try withProxy { database, proxy, writer, context throws in
            var spans = Model.spans(2_000)
            for index in spans.indices { spans[index].attributes.append(ModelAttribute("text", .text(String(repeating: "x", count: 200)))) }
            proxy.set(.cutAfter(bytes))
            #expect(writeUntilDone(writer, try Model.batch(spans)) == 2)
            #expect(proxy.hitCount == 1)
            #expect(context.metrics.inDoubt.value == 0)
            #expect(try database.count("traces") == 2_000)
        }
    }

    @Test func aServerThatIsAwayForAWhileGetsEverySpanOnce() throws {
        try withProxy { database, proxy, writer, _ throws in
            let batches = try (0..<3).map { try Model.batch(Model.spans(20, first: $0 * 20)) }
            #expect(writer.write(batches[0], cancellation: cancellation) == .written)
            proxy.set(.refuse)
            for _ in 0..<3 {
                guard case .retryable(let problem, _) = writer.write(batches[1], cancellation: cancellation) else {
                    Issue.record("written through a refusing proxy")
                    return
                }
                #expect(problem.kind == "connection")
            }
            proxy.set(nil)
            #expect(writeUntilDone(writer, batches[1]) == 1)
            #expect(writer.write(batches[2], cancellation: cancellation) == .written)
            #expect(try database.spans() == Model.spans(60))
        }
    }

    @Test func anEndedBackendIsReplaced() throws {
        try withProxy { database, _, writer, _ throws in
            #expect(writer.write(try Model.batch(Model.spans(10)), cancellation: cancellation) == .written)
            try database.connection.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
            #expect((1...2).contains(writeUntilDone(writer, try Model.batch(Model.spans(10, first: 10)))))
            #expect(try database.spans() == Model.spans(20))
        }
    }

    @Test func aServerThatDoesNotTellItsIdentityGetsOnlyWhatIsMissing() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            try database.connection.query(
                """
                create role \(database.name) login password 'secret';
                grant all on all tables in schema public to \(database.name);
                revoke execute on function pg_control_system from public
                """)
            defer {
                _ = try? database.connection.query("drop owned by \(database.name); drop role \(database.name)")
            }
            let port = try #require(Int(try database.value("select inet_server_port()") ?? ""))
            for fault in [FaultProxy.Fault.loseCommitAnswer, .loseCommit] {
                let proxy = try FaultProxy(serverPort: port)
                defer { proxy.stop() }
                let options = database.options(proxy.parameters + [("user", database.name), ("password", "secret")])
                let writer = database.writer(database.config(options)).writer
                proxy.set(fault)
                try database.connection.query("truncate traces")
                #expect(writeUntilDone(writer, try Model.batch(Model.spans(50))) == 2)
                #expect(proxy.hitCount == 1)
                #expect(try database.spans() == Model.spans(50))
            }
        }
    }

    @Test func onlyMissingSpansAreInsertedTheSlowWay() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            let (writer, _) = database.writer()
            #expect(writer.write(try Model.batch(Model.spans(30)), cancellation: cancellation) == .written)
            let statements = CopyStatements(schema: SQLIdentifier(name: "public"))
            _ = try database.connection.startCopy(statements.copyIntoTemporary(CommitBarrier.processIdentity))
            let file = CopyFile.encode(try Model.batch(Model.spans(50)))
            try file.bytes.withUnsafeBytes { bytes in try database.connection.sendCopy(bytes) }
            try database.connection.endCopy()
            let insert = statements.insertMissing(from: file.notes.earliest, to: file.notes.latest)
            #expect(
                insert.contains(
                    "old.ts >= timestamptz '2026-01-01 12:00:00.000000+00' and old.ts <= timestamptz '2026-01-01 12:00:00.000049+00'"))
            try database.connection.query(insert)
            guard case .committed = database.connection.commit() else {
                Issue.record("not committed")
                return
            }
            #expect(try database.spans() == Model.spans(50))
        }
    }

    @Test func progressIsKeptWhenTheConnectionBreaksBetweenTheHalvesOfARefusedBatch() throws {
        try withProxy { database, proxy, writer, _ throws in
            try database.connection.query("alter table traces add constraint no_seven check (name <> 'span 7')")
            let batch = try Model.batch(Model.spans(16))
            // The second COMMIT of the halves is lost after it took effect; the fault is set anew until it has hit a while.
            var attempts = 0
            var outcome = WriteOutcome.written
            repeat {
                attempts += 1
                proxy.set(attempts <= 3 ? .loseCommitAnswer : nil)
                outcome = writer.write(batch, cancellation: cancellation)
                if case .permanent = outcome { break }
            } while attempts < 20
            guard case .permanent(_, let lost, _) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(lost == 1)
            #expect(proxy.hitCount == 3)
            #expect(try database.spans() == Model.spans(16).filter { $0.name != Array("span 7".utf8) })
        }
    }
}
