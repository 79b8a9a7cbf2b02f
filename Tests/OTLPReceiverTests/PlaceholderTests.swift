import Testing
@testable import OTLPReceiver

@Test func placeholder() {}
