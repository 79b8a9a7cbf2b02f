import Glibc
import Testing
@testable import Pipeline

@Suite struct LogModelTests {
    /// Cases run each time; `LOG_MODEL_CASES` and `LOG_MODEL_SEED` ask for more, or for one again.
    private static let casesDefault = 1_000

    private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    @Test func noSequenceOfFaultsLosesDoublesOrChangesWhatWasAccepted() async {
        let cases = Self.number("LOG_MODEL_CASES") ?? Self.casesDefault
        let first = Self.number("LOG_MODEL_SEED") ?? Int.random(in: 0..<1 << 40)
        var restarts = 0
        for seed in first..<first + cases {
            let model = LogModel(seed: UInt64(seed))
            do {
                try await model.run(steps: 40)
            } catch {
                Issue.record("seed \(seed): \(error); \(model.events.suffix(40).joined(separator: ", "))")
                return
            }
            restarts += model.restarts
        }
        #expect(restarts >= cases)
    }
}
