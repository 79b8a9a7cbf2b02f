import ArgumentParser
import Configuration
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
        SystemAllocator.configure()
        try await CommandFailure.report {
            let source = options.source
            let configuration: LoadedConfiguration
            do throws(ConfigurationError) {
                configuration = try source.load()
            } catch {
                throw CommandFailure("\(error)")
            }
            let service = configuration.service
            let loggers = LoggerFactory(
                level: service.logLevel.swiftLogLevel, output: LogOutput(encoding: service.logEncoding.ofLines))
            let daemon = Daemon(configuration, loggers: loggers) { () throws(ConfigurationError) in try source.load() }
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
