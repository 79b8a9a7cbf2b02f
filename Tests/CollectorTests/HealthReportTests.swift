import Pipeline
import Testing
@testable import Collector

@Suite struct HealthReportTests {
    private func report(_ phase: HealthReport.Phase, _ components: [HealthReport.Line]) -> HealthReport {
        HealthReport(phase: phase, uptimeSeconds: 7, components: components)
    }

    private let healthy = HealthReport.Line(place: "receivers.otlp", health: .ok)
    private let troubled = HealthReport.Line(place: "exporters.timescaledb/eu", health: .degraded("cannot \"connect\"\n"))

    @Test func aRunningCollectorWithHealthyComponentsIsOK() {
        let report = report(.running, [healthy])
        #expect(report.status == .ok)
        #expect(report.httpStatus == 200)
        #expect(report.json == """
            {"status":"ok","phase":"running","uptime_seconds":7,"components":[{"id":"receivers.otlp","status":"ok"}]}

            """)
    }

    @Test func oneTroubledComponentDegradesItAndItsReasonIsEscapedJSON() {
        let report = report(.running, [healthy, troubled])
        #expect(report.status == .degraded)
        #expect(report.httpStatus == 200)
        #expect(report.json.contains(
            #"{"id":"exporters.timescaledb/eu","status":"degraded","reason":"cannot \"connect\"\n"}"#))
    }

    @Test(arguments: [HealthReport.Phase.starting, .stopping])
    func beforeAndAfterItTakesDataItIsUnavailable(_ phase: HealthReport.Phase) {
        let report = report(phase, [healthy])
        #expect(report.status == .unavailable)
        #expect(report.httpStatus == 503)
    }
}
