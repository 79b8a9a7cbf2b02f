import Pipeline
import Testing

@testable import Exporters

/// The contract's property: OTLP rebuilt from a row equals the span that came in, after sanitising and key order aside.
@Suite struct LosslessTests {
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func spansRebuiltFromTheirRowsEqualTheOriginals(seed: UInt64) throws {
        var random = RandomSpans(seed: seed)
        let spans = (0..<25).map { _ in random.span() }
        let file = try CopyFile(CopyFile.encode(Model.batch(spans)).bytes)
        #expect(file.rows.count == spans.count)
        for (row, span) in zip(file.rows, spans) { #expect(try CopyRow(fields: row).span() == span.normalised, "seed \(seed)") }
    }

    @Test func aComparisonNoticesEveryKindOfLoss() throws {
        // The property above is only worth something if unequal spans are told apart.
        let span = ModelSpan(attributes: [ModelAttribute("a", .double(1))])
        let rebuilt = try CopyRow(fields: CopyFile(CopyFile.encode(Model.batch([span])).bytes).rows[0]).span()
        #expect(rebuilt == span.normalised)
        for wrong: ModelValue in [.int(1), .text("1.0"), .absent, .double(1.0000000000000002), .array([.double(1)])] {
            #expect(rebuilt != ModelSpan(attributes: [ModelAttribute("a", wrong)]).normalised)
        }
        #expect(rebuilt != ModelSpan(events: [ModelEvent()]).normalised)
    }
}
