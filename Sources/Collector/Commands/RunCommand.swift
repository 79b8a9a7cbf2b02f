import ArgumentParser
import Glibc
import Pipeline
import SelfTelemetry

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the collector until SIGTERM or SIGINT (the default command).")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        // A peer or log reader that has gone is an error of that write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        SystemAllocator.useOneArena()
        try await CommandFailure.report {
            let (document, blueprints) = try options.load()
            let service = document.service
            let loggers = LoggerFactory(
                level: service.logLevel.swiftLogLevel,
                output: LogOutput(encoding: service.logEncoding == .json ? .json : .console))
            for warning in document.warnings { loggers.logger("configuration").warning("\(warning)") }
            let daemon = Daemon(service: service, blueprints: blueprints, loggers: loggers)
            defer { loggers.output.flush() }
            do {
                try await daemon.runUntilSignalled()
            } catch {
                loggers.output.flush()
                throw CommandFailure("collector: cannot start: \(error)")
            }
        }
    }
}
