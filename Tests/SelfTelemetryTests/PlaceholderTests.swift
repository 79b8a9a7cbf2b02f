import Testing
@testable import SelfTelemetry

@Test func placeholder() {}
