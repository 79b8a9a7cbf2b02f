import Configuration
import Testing
@testable import Collector

/// The configuration files that come with the collector fit the components that are built in.
@Suite struct ConfigurationFileTests {
    private static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")

    @Test(arguments: ["collector.yaml", "deploy/timescaledb.yaml"])
    func shippedFilesAreValid(_ path: String) throws {
        let document = try ConfigurationDocument.load(
            paths: ["\(Self.root)/\(path)"], builtIn: ComponentCatalogue.builtIn,
            environment: { $0 == "DATABASE_URL" ? "postgresql://user:hunter2@localhost/db" : nil })
        let blueprints = ComponentCatalogue.decode(document)
        try document.check()
        #expect(document.warnings == [])
        #expect(blueprints.pipelines.count == 1)
        #expect(blueprints.healthCheck?.endpoint == Endpoint(host: "localhost", port: 13133))
        #expect(document.service.metricsAddress == Endpoint(host: "localhost", port: 8888))
        #expect(!document.effectiveYAML().contains("hunter2"))
        #expect(blueprints.exporters.values.allSatisfy { !$0.destination.contains("hunter2") })
    }

    @Test func aSecondHealthCheckIsAProblem() throws {
        let document = try ConfigurationDocument.load(
            paths: ["\(Self.root)/collector.yaml"],
            overrides: ["extensions::health_check/b={}", "service.extensions=[health_check, health_check/b]"],
            builtIn: ComponentCatalogue.builtIn, environment: { _ in nil })
        _ = ComponentCatalogue.decode(document)
        #expect(throws: ConfigurationError.self) { try document.check() }
    }
}
