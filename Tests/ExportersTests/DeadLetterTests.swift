import Glibc
import OTLPWire
import Pipeline
import Testing

@testable import Exporters

@Suite struct DeadLetterTests {
    private let directory = ScratchDirectory()
    private let problem = ExportProblem(kind: "data", "the database refused rows: constraint \"odd\"")

    private var path: String { directory.path + "/dead.jsonl" }

    private func letters(_ batch: SpanBatch) -> [DeadLetterFile.Letter] {
        var letters: [DeadLetterFile.Letter] = []
        batch.forEach { letters.append(DeadLetterFile.Letter(reference: $0, problem: problem, code: "23514")) }
        return letters
    }

    private func lines() throws -> [[UInt8]] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return bytes.split(separator: UInt8(ascii: "\n")).map(Array.init)
    }

    /// What a receiver makes of the line.
    private func spans(_ line: [UInt8]) throws -> [ModelSpan] {
        let batch = try decoded(line)
        let file = CopyFile.encode(batch)
        return try CopyFile(file.bytes).rows.map { try CopyRow(fields: $0).span() }
    }

    private func decoded(_ line: [UInt8]) throws -> SpanBatch {
        var output = OutputBuffer()
        try line.withUnsafeBytes { try JSONTranscoder().transcodeTraces($0, into: &output) }
        return SpanBatch(try output.withBytes { try TraceBatch.decode($0, receivedUnixNano: Model.noon) })
    }

    @Test func aLineIsARequestWithTheSpanThatWasRefusedAndTheReasonBehindIt() throws {
        var random = RandomSpans(seed: 5)
        let sent = (0..<50).map { _ in random.span() }
        let batch = try Model.batch(Model.request(sent, resource: [ModelAttribute("service.name", .text("shop"))]))
        try DeadLetterFile(path: path, exporter: "timescaledb/a\"b").append(letters(batch))
        let lines = try lines()
        #expect(lines.count == 50)
        for (line, span) in zip(lines, sent) {
            #expect(try decoded(line).itemCount == 1)
            #expect(try spans(line).first?.normalised == span.normalised)
            let text = String(decoding: line, as: UTF8.self)
            #expect(text.hasPrefix(#"{"resourceSpans":[{"#))
            #expect(text.contains(#""deadLetter":{"exporter":"timescaledb/a\"b","time":"20"#))
            #expect(text.hasSuffix(#""code":"23514","reason":"the database refused rows: constraint \"odd\""}}"#))
        }
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test func aLineThatACrashCutShortIsEndedBeforeTheNext() throws {
        let file = try #require(fopen(path, "w"))
        fputs(#"{"resourceSpans":[{"#, file)
        fclose(file)
        let letters = DeadLetterFile(path: path, exporter: "x")
        let batch = try Model.batch(Model.spans(2))
        try letters.append(self.letters(batch))
        try letters.append(self.letters(batch))
        let lines = try lines()
        #expect(lines.count == 5)
        for line in lines.dropFirst() { #expect(try decoded(line).itemCount == 1) }
    }

    @Test func theFileMayBeRenamedAtAnyTimeAndItsDirectoryIsMade() throws {
        let nested = directory.path + "/made"
        defer {
            unlink(nested + "/a.jsonl")
            unlink(nested + "/b.jsonl")
            rmdir(nested)
        }
        let file = DeadLetterFile(path: nested + "/a.jsonl", exporter: "x")
        let batch = try Model.batch(Model.spans(1))
        try file.append(letters(batch))
        #expect(rename(nested + "/a.jsonl", nested + "/b.jsonl") == 0)
        try file.append(letters(batch))
        #expect(access(nested + "/a.jsonl", F_OK) == 0)
    }

    @Test func aFileThatCannotBeWrittenIsAProblemThatSaysSoWithoutUserData() throws {
        let batch = try Model.batch(Model.spans(1))
        let error = try #require(throws: ExportProblem.self) {
            try DeadLetterFile(path: directory.path, exporter: "x").append(letters(batch))
        }
        #expect(error.kind == "dead_letter")
        #expect(error.description.contains(directory.path) && !error.description.contains("span 0"))
        let full = try #require(throws: ExportProblem.self) {
            try DeadLetterFile(path: "/dev/full", exporter: "x").append(letters(batch))
        }
        #expect(full.description.contains("No space left"))
    }

    @Test func sqliteRowsThatAreRefusedGoThereBeforeTheBatchIsDone() throws {
        let fixture = try SQLiteFixture()
        try fixture.store().open()
        try fixture.execute(
            """
            create trigger picky before insert on traces when new.name like '%7' begin select raise(abort, 'no sevens'); end
            """)
        let spans = Model.spans(40)
        let blocked = SQLiteStore(
            fixture.config, deadLetters: DeadLetterFile(path: directory.path, exporter: "sqlite"), logger: Silent.logger)
        guard case .retryable(let problem, _) = blocked.write(try Model.batch(spans)) else {
            Issue.record("the batch did not wait")
            return
        }
        #expect(problem.kind == "dead_letter")
        #expect(try fixture.value("select count(*) from traces") == "0")
        let store = SQLiteStore(fixture.config, deadLetters: DeadLetterFile(path: path, exporter: "sqlite"), logger: Silent.logger)
        guard case .permanent(_, lostItems: 0, savedItems: 4) = store.write(try Model.batch(spans)) else {
            Issue.record("not saved")
            return
        }
        #expect(try fixture.value("select count(*) from traces") == "36")
        #expect(try lines().flatMap { try self.spans($0) }.map(\.name) == [7, 17, 27, 37].map { Array("span \($0)".utf8) })
    }
}

/// With a real PostgreSQL.
@Suite(.serialized, .needsPostgreSQL)
struct DeadLetterDatabaseTests {
    private let directory = ScratchDirectory()
    private let cancellation = Cancellation()

    @Test func refusedRowsAreInTheFileAndAllOthersInTheTable() throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            try database.connection.query("alter table traces add constraint no_thirteens check (name not like '%13%')")
            let path = directory.path + "/dead.jsonl"
            let spans = Model.spans(200)
            let blocked = database.writer(deadLetters: DeadLetterFile(path: directory.path, exporter: "x")).writer
            let batch = try Model.batch(spans)
            for _ in 0..<2 {
                guard case .retryable(let problem, _) = blocked.write(batch, cancellation: cancellation) else {
                    Issue.record("the batch did not wait")
                    return
                }
                #expect(problem.kind == "dead_letter")
            }
            #expect(try database.count("traces") == 188)
            try database.connection.query("truncate traces")

            let writer = database.writer(deadLetters: DeadLetterFile(path: path, exporter: "x")).writer
            guard case .permanent(let problem, lostItems: 0, savedItems: 12) = writer.write(batch, cancellation: cancellation) else {
                Issue.record("not saved")
                return
            }
            #expect(problem.description.contains("no_thirteens"))
            #expect(try database.count("traces") == 188)
            let file = try #require(fopen(path, "r"))
            defer { fclose(file) }
            var text = ""
            while case let byte = getc(file), byte != EOF { text.unicodeScalars.append(Unicode.Scalar(UInt8(truncatingIfNeeded: byte))) }
            let lines = text.split(separator: "\n")
            #expect(lines.count == 12)
            #expect(lines.allSatisfy { $0.contains(#""code":"23514""#) && $0.contains("constraint no_thirteens") && $0.contains("13") })
        }
    }

    /// By construction no row is refused for its data: whatever clients send, every span is in the table and no COPY failed.
    @Test(arguments: [11, 22] as [UInt64])
    func noHostileValueIsEverRefused(seed: UInt64) throws {
        try TestDatabase.with { (database: TestDatabase) throws in
            try database.migrate()
            var random = RandomSpans(seed: seed)
            let long = [0, 1, 255, 256, 257, 2_599, 2_600, 2_601, 2_705, 8_192]
            let edges: [UInt64] = [
                0, 1, 999, 1_000, Model.noon - 90 * 86_400_000_000_000, Model.noon, UInt64(Int64.max), UInt64(Int64.max) + 1, .max - 1,
                .max,
            ]
            let (writer, context) = database.writer()
            for round in 0..<10 {
                let spans = (0..<25).map { _ in
                    var span = random.span()
                    span.start = edges[random.below(edges.count)]
                    span.end = edges[random.below(edges.count)]
                    span.name = Array(repeating: random.rawBytes(1)[0], count: long[random.below(long.count)])
                    span.attributes.append(ModelAttribute(random.rawBytes(long[random.below(long.count)]), random.value()))
                    for key in ["user.id", "session.id", "gen_ai.request.model", "gen_ai.provider.name"] {
                        let value = random.rawBytes(long[random.below(long.count)])
                        span.attributes.append(ModelAttribute(key, random.below(3) == 0 ? random.value() : .string(value)))
                    }
                    return span
                }
                let keys = ["service.name", "service.namespace", "project.id"]
                let resource = keys.map { ModelAttribute($0, .string(random.rawBytes(long[random.below(long.count)]))) }
                let request = Model.request(spans, resource: resource + random.attributes())
                let received = edges[random.below(edges.count)]
                let batch = try Model.batch(request, received: received == 0 ? Model.noon : received)
                #expect(writer.write(batch, cancellation: cancellation) == .written, "round \(round)")
            }
            #expect(context.metrics.refused.value == 0)
            #expect(try database.count("traces") == 250)
        }
    }
}
