import Testing
@testable import Exporters

@Test func placeholder() {}
