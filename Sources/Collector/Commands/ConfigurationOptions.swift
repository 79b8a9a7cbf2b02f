import ArgumentParser
import Configuration
import Glibc

/// `--config` and `--set`, and what every command that needs the configuration does with them.
struct ConfigurationOptions: ParsableArguments {
    /// Where to look when no file is named: first the working directory, then the system's place.
    static let defaultPaths = ["./collector.yaml", "/etc/collector/collector.yaml"]

    @Option(
        name: .customLong("config"),
        help: ArgumentHelp(
            "Configuration file; repeat it to lay files over each other: mappings merge, lists replace.",
            discussion: "Without it: ./collector.yaml, then /etc/collector/collector.yaml.", valueName: "file"))
    var files: [String] = []

    @Option(name: .customLong("set"), help: ArgumentHelp("Set one key, as in --set processors.batch.timeout=1s.", valueName: "key=value"))
    var overrides: [String] = []

    /// Loads the configuration and decodes every component. Problems go to stderr as `file:line:column: message`, all at once; then
    /// the process ends with exit code 1.
    func load() throws -> (document: ConfigurationDocument, blueprints: Blueprints) {
        do throws(ConfigurationError) {
            return try source.read()
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    var source: ConfigurationSource { ConfigurationSource(files: files, overrides: overrides) }
}

/// Where the configuration comes from; what is there can be read again.
struct ConfigurationSource: Sendable {
    /// Empty: the first of the default paths that exists.
    let files: [String]
    let overrides: [String]

    func read() throws(ConfigurationError) -> (document: ConfigurationDocument, blueprints: Blueprints) {
        let document = try ConfigurationDocument.load(
            paths: try paths(), overrides: overrides, builtIn: ComponentCatalogue.builtIn, environment: Self.environment)
        let blueprints = ComponentCatalogue.decode(document)
        try document.check()
        return (document, blueprints)
    }

    /// What the daemon runs.
    func load() throws(ConfigurationError) -> LoadedConfiguration {
        let (document, blueprints) = try read()
        return LoadedConfiguration(
            service: document.service, blueprints: blueprints, warnings: document.warnings.map(\.description))
    }

    private func paths() throws(ConfigurationError) -> [String] {
        guard files.isEmpty else { return files }
        let known = ConfigurationOptions.defaultPaths
        if let found = known.first(where: { access($0, F_OK) == 0 }) { return [found] }
        throw ConfigurationError(problems: [
            ConfigProblem(
                at: SourceLocation(file: known[0]),
                "no configuration: looked for \(known.joined(separator: " and ")); name one with --config")
        ])
    }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}

/// A valid configuration.
struct LoadedConfiguration: Sendable {
    let service: ServiceConfig
    let blueprints: Blueprints
    /// For the log.
    let warnings: [String]
}

/// Ends the command: one message on stderr, exit code 1.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    /// Runs a command's body and turns failures into their line and exit code.
    static func report<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let failure as CommandFailure {
            StandardStream.error.write(failure.description)
            throw ExitCode.failure
        }
    }
}

/// Whole lines to stdout or stderr, past any buffering.
enum StandardStream: Int32 {
    case output = 1
    case error = 2

    func write(_ text: String) {
        var bytes = Array(text.utf8)
        if bytes.last != UInt8(ascii: "\n") { bytes.append(UInt8(ascii: "\n")) }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(rawValue, $0.baseAddress?.advanced(by: done), bytes.count - done) }
            if count > 0 { done += count } else if errno != EINTR { return }
        }
    }
}
