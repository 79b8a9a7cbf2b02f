import OTLPWire
import Testing

@testable import Sampling

@Suite struct DecisionNotesTests {
    private func trace(_ low: UInt64, _ decision: TailDecision) -> DecidedTrace {
        DecidedTrace(id: TraceID(high: low &* 3, low: low), decision: decision, cause: .due, spanCount: 1, costUSD: 0, age: 0)
    }

    private func decode(_ bytes: [UInt8], _ names: PolicyNames) -> [DecisionNote] {
        bytes.withUnsafeBytes { DecisionNotes.decode($0, names) }
    }

    private static let written = PolicyNames(["errors", "", "süß"])

    private func some(_ count: UInt64) -> [DecidedTrace] {
        (0..<count).map { low in
            switch low % 4 {
            case 0: trace(low, .none)
            case 1: trace(low, TailDecision(isKept: true, policy: Int(low / 4 % 3), adjustedCount: 1 + Double(low)))
            case 2: trace(low, TailDecision(isKept: false, policy: 2, adjustedCount: 1))
            default: trace(low, TailDecision(isKept: true, policy: 2, adjustedCount: 1))
            }
        }
    }

    @Test func whatIsWrittenIsReadByNameAlsoWhereThePoliciesHaveOtherNumbers() {
        let decided = some(1_000)
        let bytes = DecisionNotes.encode(decided[...], Self.written)
        let names = PolicyNames(["other", "süß"])
        let notes = decode(bytes, names)
        #expect(notes.map(\.id) == decided.map(\.id))
        for (note, trace) in zip(notes, decided) {
            #expect((note.kept != nil) == trace.decision.isKept)
            guard let kept = note.kept else { continue }
            #expect(kept.adjustedCount == trace.decision.adjustedCount)
            #expect(names[Int(kept.policy)] == Self.written[trace.decision.policy ?? -1])
        }
        #expect(names[1] == "süß" && names[0] == "other")
    }

    @Test func notesCutOffAnywhereAreReadUpToThere() {
        let decided = some(40)
        let bytes = DecisionNotes.encode(decided[...], Self.written)
        let whole = decode(bytes, PolicyNames([]))
        var longest = 0
        for end in 0..<bytes.count {
            let notes = decode(Array(bytes[..<end]), PolicyNames([]))
            #expect(notes == Array(whole.prefix(notes.count)))
            #expect(notes.count >= longest && notes.count < whole.count)
            longest = notes.count
        }
        #expect(longest == whole.count - 1)
    }

    @Test func whatIsNoNoteIsNeverAnError() {
        var random = SplitMix64(seed: 99)
        let bytes = DecisionNotes.encode(some(30)[...], Self.written)
        for _ in 0..<20_000 {
            var damaged = bytes
            for _ in 0...random.next(upperBound: UInt64(4)) {
                damaged[Int(random.next(upperBound: UInt64(damaged.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            for note in decode(damaged, PolicyNames(["errors"])) {
                guard let kept = note.kept else { continue }
                #expect(kept.adjustedCount >= 1 && kept.adjustedCount.isFinite)
            }
        }
        for count in 0..<300 {
            let noise = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            _ = decode(noise, PolicyNames([]))
            _ = decode([1] + noise, PolicyNames([]))
        }
    }

    @Test func notesOfAnotherVersionAreLeftAlone() {
        var bytes = DecisionNotes.encode(some(3)[...], Self.written)
        #expect(decode(bytes, PolicyNames([])).count == 3)
        bytes[0] = 2
        #expect(decode(bytes, PolicyNames([])).isEmpty)
    }

    @Test(arguments: [Double.nan, .infinity, -1, 0, 0.5]) func aCountThatIsNoneIsNotBelieved(count: Double) {
        let bad = trace(2, TailDecision(isKept: true, policy: 0, adjustedCount: count))
        let bytes = DecisionNotes.encode([trace(1, .none), bad][...], Self.written)
        #expect(decode(bytes, PolicyNames([])).map(\.id.low) == [1])
    }
}
