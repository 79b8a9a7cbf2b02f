import Glibc
import Synchronization
import Testing

@testable import Collector

@Suite struct ReplayTests {
    /// A directory of its own.
    private final class Place {
        let directory: String
        let path: String

        init() {
            var template = Array("/tmp/replay-test-XXXXXX".utf8CString)
            directory = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/replay-test"
            path = directory + "/dead.jsonl"
        }

        deinit {
            for suffix in ["", ".sending", ".sending.done", ".rejected"] { unlink(path + suffix) }
            rmdir(directory)
        }

        func write(_ text: String) {
            guard let file = fopen(path, "a") else { return }
            fputs(text, file)
            fclose(file)
        }

        func text(_ suffix: String = "") -> String? {
            guard let file = fopen(path + suffix, "r") else { return nil }
            defer { fclose(file) }
            var bytes: [UInt8] = []
            while case let byte = getc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private final class Receiver: Sendable {
        private let bodies = Mutex<[String]>([])
        let verdict: @Sendable (String) -> ReplayVerdict

        init(_ verdict: @escaping @Sendable (String) -> ReplayVerdict) { self.verdict = verdict }

        var received: [String] { bodies.withLock { $0 } }

        func post(_ body: [UInt8]) -> ReplayVerdict {
            let text = String(decoding: body, as: UTF8.self)
            let verdict = verdict(text)
            if verdict == .accepted { bodies.withLock { $0.append(text) } }
            return verdict
        }
    }

    private func line(_ number: Int) -> String {
        #"{"resourceSpans":[{"n":\#(number),"s":"]}\"{["}],"deadLetter":{"reason":"r\#(number)"}}"#
    }

    private func replay(_ place: Place, _ receiver: Receiver, patience: Duration = .milliseconds(1)) async throws -> Replay.Counts {
        let files = try ReplayFiles(place.path)
        var replay = Replay(files: files, patience: patience) { receiver.post($0) }
        try await replay.run()
        files.remove()
        return replay.counts
    }

    @Test func linesGoTogetherIntoRequestsInOrderAndTheFilesAreGoneAfterwards() async throws {
        let place = Place()
        for number in 0..<1_200 { place.write(line(number) + "\n") }
        let receiver = Receiver { _ in .accepted }
        let counts = try await replay(place, receiver)
        #expect(counts == Replay.Counts(accepted: 1_200))
        #expect(receiver.received.count == 3)
        let expected = (0..<500).map { #"{"n":\#($0),"s":"]}\"{["}"# }.joined(separator: ",")
        let first = try #require(receiver.received.first)
        #expect(first.hasPrefix(#"{"resourceSpans":[\#(expected),{"schemaUrl":"urn:collector:replay:"#))
        // The last 16 digits before the end are this replay's mark, in each of its requests.
        #expect(receiver.received.allSatisfy { $0.suffix(20) == first.suffix(20) && $0.hasSuffix(#""}]}"#) })
        for suffix in ["", ".sending", ".sending.done", ".rejected"] { #expect(place.text(suffix) == nil) }
    }

    @Test func whatIsRefusedAgainIsKeptAloneAndTheRestIsSent() async throws {
        let place = Place()
        for number in 0..<10 { place.write(line(number) + "\n") }
        let receiver = Receiver { $0.contains(#""n":7,"#) ? .refused : .accepted }
        let counts = try await replay(place, receiver)
        #expect(counts == Replay.Counts(accepted: 9, refused: 1))
        #expect(place.text() == line(7) + "\n")
    }

    @Test func aReplayThatWasBrokenOffGoesOnWhereItWasAndSendsNothingTwice() async throws {
        let place = Place()
        for number in 0..<1_200 { place.write(line(number) + "\n") }
        let calls = Mutex(0)
        let failing = Receiver { _ in calls.withLock { $0 += 1; return $0 > 1 } ? .later : .accepted }
        await #expect(throws: CommandFailure.self) { _ = try await replay(place, failing) }
        // A collector goes on adding meanwhile.
        place.write(line(5_000) + "\n")
        #expect(ReplayFiles.hasUnfinished(place.path))
        let receiver = Receiver { _ in .accepted }
        #expect(try await replay(place, receiver).accepted == 700)
        #expect(try await replay(place, receiver).accepted == 1)
        let parts = (failing.received + receiver.received).joined().split(separator: #""n":"#).dropFirst()
        let numbers = parts.map { Int($0.prefix { $0 != "," }) }
        #expect(numbers == Array(0..<1_200) + [5_000])
        #expect(receiver.received.first?.suffix(20) == failing.received.first?.suffix(20), "continued: the same replay")
        #expect(receiver.received.last?.suffix(20) != failing.received.first?.suffix(20), "another one")
    }

    @Test func repeatedLinesAreSentOnceAndForeignOnesAsTheyAre() async throws {
        let place = Place()
        place.write(line(1) + "\n\n" + line(1) + "\nnot json\n" + #"{"resourceSpans":[]}"# + "\n" + line(2))
        let receiver = Receiver { $0 == "not json" ? .refused : .accepted }
        let counts = try await replay(place, receiver)
        #expect(counts == Replay.Counts(accepted: 3, refused: 1, repeated: 1))
        #expect(place.text() == "not json\n")
    }

    @Test func aRequestTakenInPartIsPutAsideAndReported() async throws {
        let place = Place()
        place.write(line(1) + "\n")
        let counts = try await replay(place, Receiver { _ in .partly(rejected: 2) })
        #expect(counts == Replay.Counts(rejectedSpans: 2))
        #expect(place.text(".rejected") == line(1) + "\n")
        #expect(place.text() == nil)
    }

    @Test func twoReplaysAtOnceAreNotPossible() throws {
        let place = Place()
        place.write(line(1))
        let first = try ReplayFiles(place.path)
        #expect(throws: CommandFailure.self) { _ = try ReplayFiles(place.path) }
        #expect(first.size > 0)
    }

    @Test func answersAreReadAsOTLPSays() {
        #expect(ReplayVerdict(status: 200, body: "{}") == .accepted)
        #expect(ReplayVerdict(status: 200, body: #"{"partialSuccess":{"rejectedSpans":"12","errorMessage":"x"}}"#) == .partly(rejected: 12))
        #expect(ReplayVerdict(status: 200, body: #"{"partialSuccess":{"rejectedSpans": 3}}"#) == .partly(rejected: 3))
        for status in [408, 429, 502, 503, 504] { #expect(ReplayVerdict(status: status, body: "") == .later) }
        for status in [301, 400, 404, 413, 500] { #expect(ReplayVerdict(status: status, body: "") == .refused) }
    }
}
