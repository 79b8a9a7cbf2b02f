import ArgumentParser
import Configuration
import Glibc

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Send a dead-letter file to a collector again, over OTLP/HTTP.",
        discussion: """
            The file is renamed to FILE.sending first, so a running collector may go on adding to FILE. What is refused again goes back to \
            FILE; a request of which some spans are rejected goes to FILE.rejected. A replay that was broken off is continued by the same \
            command; what was accepted is not sent again. Exit code 1 when something was not accepted.
            """)

    @Argument(help: ArgumentHelp("The dead-letter file: a line is an OTLP/JSON request.", valueName: "file"))
    var file: String

    @Option(help: ArgumentHelp("The receiver: http://host:port, with a path if it is not /v1/traces.", valueName: "url"))
    var endpoint = "http://localhost:4318"

    @Option(help: ArgumentHelp("Seconds that the receiver may be away or busy before the replay is broken off.", valueName: "seconds"))
    var timeout = 60

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        try await CommandFailure.report {
            let (target, path) = try target()
            var counts = Replay.Counts()
            // One that was broken off, and then what has come since.
            let isTwice = ReplayFiles.hasUnfinished(file) && access(file, F_OK) == 0
            for _ in 0..<(isTwice ? 2 : 1) { counts.add(try await replay(target, path)) }
            print(counts.description)
            if counts.refused > 0 || counts.rejectedSpans > 0 { throw CommandFailure("\(file): not everything was accepted") }
        }
    }

    private func replay(_ target: Endpoint, _ path: String) async throws -> Replay.Counts {
        let patience = Duration.seconds(Int64(max(1, min(timeout, 86_400))))
        let files = try ReplayFiles(file)
        var replay = Replay(files: files, patience: patience) { body in
            do {
                let answer = try await AdminClient.postJSON(body, path, to: target, timeout: patience)
                return ReplayVerdict(status: answer.status, body: answer.body)
            } catch {
                return .later
            }
        }
        do {
            try await replay.run()
        } catch {
            throw CommandFailure("\(error)\n\(replay.counts.description)")
        }
        files.remove()
        return replay.counts
    }

    private func target() throws -> (endpoint: Endpoint, path: String) {
        let scheme = "http://"
        guard endpoint.hasPrefix(scheme) else { throw CommandFailure("--endpoint: must begin with http:// (TLS is not supported here)") }
        let rest = endpoint.dropFirst(scheme.count)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        guard let target = Endpoint(String(rest[..<slash])) else { throw CommandFailure("--endpoint: must be http://host:port") }
        let path = String(rest[slash...])
        return (target, path.isEmpty || path == "/" ? "/v1/traces" : path)
    }
}

extension Replay.Counts: CustomStringConvertible {
    mutating func add(_ other: Replay.Counts) {
        accepted += other.accepted
        refused += other.refused
        rejectedSpans += other.rejectedSpans
        repeated += other.repeated
    }

    var description: String {
        var text = "accepted \(accepted) lines, refused \(refused)"
        if repeated > 0 { text += ", left out \(repeated) that the file holds twice" }
        if rejectedSpans > 0 { text += "; \(rejectedSpans) spans were rejected of requests taken otherwise (see FILE.rejected)" }
        return text
    }
}
