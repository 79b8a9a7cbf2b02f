import Testing
@testable import Configuration

@Suite struct DurationTextTests {
    @Test(arguments: [
        ("0", Duration.zero), ("0s", .zero), ("200ms", .milliseconds(200)), ("5s", .seconds(5)), ("1m30s", .seconds(90)),
        ("24h", .seconds(86_400)), ("1.5h", .seconds(5400)), (".5s", .milliseconds(500)), ("1h0m0.001s", .seconds(3600) + .milliseconds(1)),
        ("7us", .microseconds(7)), ("7µs", .microseconds(7)), ("9ns", .nanoseconds(9)),
    ])
    func goDurationsAreRead(_ text: String, _ expected: Duration) {
        #expect(DurationText.parse(text) == expected)
    }

    @Test(arguments: [
        "", "5", "s", "5x", "-5s", "5 s", "1h 2m", ".s", "1.2.3s", "99999999999999999999h", "9223372036854775807h", "٣s", "1e3s", "\u{0}",
    ])
    func everythingElseIsNoDuration(_ text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test(arguments: ["0s", "200ms", "1m30s", "24h", "1h0m1s", "1ms500us", "3ns"])
    func whatIsPrintedReadsBackTheSame(_ text: String) throws {
        let duration = try #require(DurationText.parse(text))
        #expect(DurationText.parse(DurationText.format(duration)) == duration)
    }
}
