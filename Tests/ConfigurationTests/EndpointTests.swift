import Testing
@testable import Configuration

@Suite struct EndpointTests {
    @Test(arguments: [
        ("localhost:4317", Endpoint(host: "localhost", port: 4317)), (":4317", Endpoint(host: "0.0.0.0", port: 4317)),
        ("[::1]:0", Endpoint(host: "::1", port: 0)), ("10.0.0.1:65535", Endpoint(host: "10.0.0.1", port: 65_535)),
    ])
    func hostAndPortAreRead(_ text: String, _ expected: Endpoint) {
        #expect(Endpoint(text) == expected)
    }

    @Test(arguments: [
        "", ":", "localhost", "localhost:", "localhost:x", "localhost:65536", "localhost:-1", "localhost:+1", "::1:4317", "[]:1",
    ])
    func everythingElseIsNoEndpoint(_ text: String) {
        #expect(Endpoint(text) == nil)
    }

    @Test func whatIsPrintedReadsBackTheSame() {
        for endpoint in [Endpoint(host: "::1", port: 1), Endpoint(host: "a", port: 2)] {
            #expect(Endpoint(endpoint.description) == endpoint)
        }
    }
}
