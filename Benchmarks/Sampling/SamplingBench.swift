import Configuration
import Glibc

/// Tail sampling with a clock of its own.
///
/// `sampling-bench replay --config FILE [--shards N] < SCRIPT` prints what becomes of each trace (`Replay`);
/// `sampling-bench speed --config FILE [--shards N] [--spans N]` the CPU time and memory per span (`Speed`).
@main
enum SamplingBench {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        func value(_ name: String) -> String? {
            arguments.firstIndex(of: name).flatMap { $0 + 1 < arguments.endIndex ? arguments[$0 + 1] : nil }
        }
        guard let command = arguments.first, let path = value("--config") else {
            print("usage: sampling-bench replay|speed --config FILE [--shards N] [--spans N]")
            exit(2)
        }
        let shards = value("--shards").flatMap { Int($0) }
        do {
            let components = try BenchComponents(path: path)
            switch command {
            case "replay": try Replay(components, shards: shards).run()
            case "speed": try Speed(components, shards: shards, spans: value("--spans").flatMap { Int($0) } ?? 1_000_000).run()
            default: exit(2)
            }
        } catch {
            print("sampling-bench: \(error)")
            exit(1)
        }
    }
}

struct BenchFailure: Error, CustomStringConvertible {
    let description: String
}
