import Testing

@testable import Collector

@Suite struct ProcessorsTests {
    @Test(arguments: [
        ("Name:\tcollector\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n", 2), ("Cpus_allowed:\tff,00000001\n", 9),
        ("Cpus_allowed:\t0\n", nil), ("Name:\tcollector\n", nil), ("", nil),
    ])
    func `the affinity mask is counted`(status: String, expected: Int?) {
        #expect(Processors.allowed(in: status) == expected)
    }

    @Test func `there is at least one`() {
        #expect(Processors.count >= 1)
    }
}
