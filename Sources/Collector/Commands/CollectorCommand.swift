import ArgumentParser

/// The command line: `collector` alone is `collector run`.
@main
struct CollectorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collector",
        abstract: "Receives OpenTelemetry traces over OTLP and writes them to TimescaleDB, PostgreSQL or SQLite.",
        version: CollectorVersion.text,
        subcommands: [
            RunCommand.self, ValidateCommand.self, PrintConfigCommand.self, ComponentsCommand.self, MigrateCommand.self,
            HealthCheckCommand.self, RedactCommand.self, ReplayCommand.self, SamplingCommand.self, WALCommand.self, VersionCommand.self,
        ],
        defaultSubcommand: RunCommand.self)
}

enum CollectorVersion {
    static let number = "0.1.0"
    static let text = "collector \(number)"
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    func run() {
        print(CollectorVersion.text)
    }
}
