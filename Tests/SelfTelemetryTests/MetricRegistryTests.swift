import Testing
@testable import SelfTelemetry

@Suite struct MetricRegistryTests {
    @Test func textIsThePrometheusFormatSortedByName() {
        let registry = MetricRegistry()
        registry.counter("b_total", help: "B.", labels: [("exporter", "x"), ("kind", "y")]).add(3)
        registry.counter("b_total", help: "B.", labels: [("exporter", "z"), ("kind", "y")]).add()
        registry.gauge("a", help: "A.").set(-5)
        registry.observe("c", help: "C.") { 1.5 }
        #expect(registry.prometheusText() == """
            # HELP a A.
            # TYPE a gauge
            a -5
            # HELP b_total B.
            # TYPE b_total counter
            b_total{exporter="x",kind="y"} 3
            b_total{exporter="z",kind="y"} 1
            # HELP c C.
            # TYPE c gauge
            c 1.5

            """)
    }

    @Test func histogramBucketsAreCumulativeAndBoundsBelongToTheirBucket() {
        let registry = MetricRegistry()
        let histogram = registry.histogram("d_seconds", help: "D.", labels: [("e", "x")], bounds: [0.5, 1, 10])
        for value in [0.5, 0.7, 10, 11] { histogram.observe(value) }
        #expect(registry.prometheusText() == """
            # HELP d_seconds D.
            # TYPE d_seconds histogram
            d_seconds_bucket{e="x",le="0.5"} 1
            d_seconds_bucket{e="x",le="1"} 2
            d_seconds_bucket{e="x",le="10"} 3
            d_seconds_bucket{e="x",le="+Inf"} 4
            d_seconds_sum{e="x"} 22.2
            d_seconds_count{e="x"} 4

            """)
    }

    @Test func labelValuesAreEscaped() {
        let registry = MetricRegistry()
        registry.counter("n_total", help: "N.", labels: [("v", "a\"b\\c\nd")]).add()
        #expect(registry.prometheusText().contains(#"n_total{v="a\"b\\c\nd"} 1"#))
    }

    @Test func theSameNameAndLabelsGiveTheSameInstrument() {
        let registry = MetricRegistry()
        let one = registry.counter("n_total", help: "N.", labels: [("v", "1")])
        #expect(registry.counter("n_total", help: "N.", labels: [("v", "1")]) === one)
        #expect(registry.counter("n_total", help: "N.", labels: [("v", "2")]) !== one)
    }

    @Test func numbersPrometheusCannotReadAsSwiftPrintsThemAreRewritten() {
        let registry = MetricRegistry()
        registry.observe("inf", help: "I.") { .infinity }
        registry.observe("nan", help: "N.") { .nan }
        registry.observe("huge", help: "H.") { 1e300 }
        let text = registry.prometheusText()
        #expect(text.contains("\ninf +Inf\n") && text.contains("\nnan NaN\n") && text.contains("\nhuge 1e+300\n"))
    }

    @Test func countsFromManyThreadsAreAllThere() async {
        let counter = MetricRegistry().counter("n_total", help: "N.")
        let histogram = Histogram(bounds: [1])
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter.add()
                        histogram.observe(1)
                    }
                }
            }
        }
        #expect(counter.value == 8000)
        #expect(histogram.snapshot == .init(counts: [8000, 0], sum: 8000))
    }

    @Test func processMetricsHaveTheNamesOfTheGoCollectorAndPlausibleValues() {
        let registry = MetricRegistry()
        ProcessMetrics.register(in: registry, start: .now - .seconds(5))
        let text = registry.prometheusText()
        #expect(text.contains("# TYPE otelcol_process_uptime_total counter\notelcol_process_uptime_total 5"))
        #expect(text.contains("# TYPE otelcol_process_cpu_seconds_total counter"))
        #expect(text.contains("# TYPE otelcol_process_memory_rss gauge"))
        #expect(ProcessMetrics.residentBytes > 1 << 20)
        #expect(ProcessMetrics.cpuSeconds > 0)
    }

    private final class Reading: Sendable {
        let value: Double
        init(_ value: Double) { self.value = value }
    }

    @Test func aReplacementsReadingTakesThePlaceOfItsPredecessorsAndGivesItBack() {
        let registry = MetricRegistry()
        var readings = [Reading(1), Reading(2), Reading(3)]
        for reading in readings { registry.observe("size", help: "S.") { [weak reading] in reading?.value } }
        #expect(registry.prometheusText().contains("size 3\n"))
        readings.removeLast()
        #expect(registry.prometheusText().contains("size 2\n"))
        readings.removeFirst()
        #expect(registry.prometheusText().contains("size 2\n"))
        readings.removeFirst()
        #expect(registry.prometheusText() == "")
    }
}
