import Testing
@testable import Pipeline

private func read(_ bytes: [UInt8]) -> RecordName { bytes.withUnsafeBytes { RecordName($0) } }

@Suite struct RecordNameTests {
    private let directory = TemporaryDirectory()

    @Test(arguments: ["", "otlp", "otlp/größe", String(repeating: "x", count: 1_024)])
    func aNameComesBackWithAndWithoutWhatRewroteTheRequest(project: String) {
        for digest: UInt64 in [0, 1, 0xFF00, .max] {
            let name = RecordName(project: project, rewrittenBy: digest)
            #expect(read(name.encoded) == name)
        }
        #expect(RecordName(project: project, rewrittenBy: 0).encoded == Array(project.utf8))
    }

    @Test func anyBytesAreRead() {
        for count in 0..<20 {
            _ = read(Array(repeating: 0, count: count))
            _ = read(Array(repeating: 0xFF, count: count))
        }
    }

    private func append(
        _ log: WriteAheadLog, _ payload: [UInt8], identity: [UInt8]? = nil, rewrittenBy: UInt64 = 0
    ) -> AppendOutcome? {
        let answers = Answers()
        return payload.withUnsafeBytes { payload in
            var request = LogRequest(signal: .traces, project: "otlp", receivedUnixNano: LogClock.system.wall(), payload: payload)
            request.rewrittenBy = rewrittenBy
            (identity ?? Array(payload)).withUnsafeBytes {
                request.identity = $0
                log.append(request, completion: answers.completion(0))
            }
            return answers.all(1)[0]
        }
    }

    @Test func aRewrittenRequestSaysSoWhenItIsReadAndIsRecognisedByItsIdentityAlsoAfterARestart() async {
        let log = WriteAheadLog.make(settings(directory.path))
        log.openAndWait()
        #expect(append(log, [1, 2], identity: [9], rewrittenBy: 77) == .durable(sequence: 1))
        #expect(append(log, [3, 4], identity: [9], rewrittenBy: 78) == .repeated)
        #expect(append(log, [1, 2]) == .durable(sequence: 2))
        var cursor = LogCursor()
        let first = log.next(&cursor, reader: 0)
        #expect(first?.rewrittenBy == 77 && first?.project == "otlp" && first?.withBytes { Array($0) } == [1, 2])
        #expect(log.next(&cursor, reader: 0)?.rewrittenBy == 0)
        await log.close()
        let again = WriteAheadLog.make(settings(directory.path))
        again.openAndWait()
        #expect(append(again, [5, 6], identity: [9], rewrittenBy: 77) == .repeated)
        await again.close()
    }
}
