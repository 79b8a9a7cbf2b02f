import Testing
@testable import OTLPWire

@Test func placeholder() {}
