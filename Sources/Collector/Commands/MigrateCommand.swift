import ArgumentParser
import Logging
import SelfTelemetry

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Bring the schema of every configured database up to date, then end.",
        discussion: "What `auto_migrate: true` does at start, for deployments where another role owns the tables.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        try await CommandFailure.report {
            let (document, blueprints) = try options.load()
            let output = LogOutput(encoding: .console)
            let loggers = LoggerFactory(level: document.service.logLevel.swiftLogLevel, output: output)
            defer { output.flush() }
            var found = false
            for (id, blueprint) in blueprints.exporters.sorted(by: { "\($0.key)" < "\($1.key)" }) {
                guard let migrate = blueprint.migrate else { continue }
                found = true
                do {
                    print("exporters.\(id): \(try migrate(loggers.logger("exporters.\(id)")))")
                } catch {
                    throw CommandFailure("exporters.\(id): \(error)")
                }
            }
            if !found { print("no configured exporter has a schema") }
        }
    }
}
