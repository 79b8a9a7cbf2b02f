import ArgumentParser
import Configuration

struct HealthCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck", abstract: "Ask a running collector for its health: exit code 0 when it takes data, else 1.",
        discussion: "For container health checks. The endpoint is taken from the configuration's health_check extension.")

    @OptionGroup var options: ConfigurationOptions

    @Option(help: ArgumentHelp("Ask this endpoint instead of the configured one.", valueName: "host:port"))
    var endpoint: String?

    @Option(help: ArgumentHelp("Seconds to wait for the answer.", valueName: "seconds"))
    var timeout = 5

    func run() async throws {
        try await CommandFailure.report {
            let target = try target()
            let answer: AdminClient.Answer
            do {
                answer = try await AdminClient.get(target.path, from: target.endpoint, timeout: .seconds(Int64(max(1, min(timeout, 3600)))))
            } catch {
                throw CommandFailure("no answer from \(target.endpoint): \(error)")
            }
            StandardStream.output.write(answer.body)
            if answer.status != 200 { throw CommandFailure("\(target.endpoint) answered \(answer.status)") }
        }
    }

    private func target() throws -> (endpoint: Endpoint, path: String) {
        if let endpoint {
            guard let parsed = Endpoint(endpoint) else { throw CommandFailure("--endpoint: must be host:port") }
            return (parsed, "/")
        }
        let (_, blueprints) = try options.load()
        guard let health = blueprints.healthCheck else {
            throw CommandFailure("the configuration has no health_check extension; name an endpoint with --endpoint")
        }
        return (health.endpoint, health.path)
    }
}
