import ArgumentParser
import Configuration

struct ValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Check the configuration and report every problem with its place; exit code 1 if there is one.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let (document, _) = try await CommandFailure.report { try options.load() }
        for warning in document.warnings { StandardStream.error.write("\(warning)") }
        print("the configuration is valid")
    }
}

struct PrintConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "print-config", abstract: "Print the configuration in effect: files merged, defaults filled in, secrets hidden.")

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let (document, _) = try await CommandFailure.report { try options.load() }
        for warning in document.warnings { StandardStream.error.write("\(warning)") }
        StandardStream.output.write(document.effectiveYAML())
    }
}

struct ComponentsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "components", abstract: "List the components built in, as YAML.")

    func run() {
        var text = "version: \(CollectorVersion.number)\n"
        for kind in ConfigurationDocument.Kind.allCases {
            text += "\(kind.rawValue):\n"
            for type in (ComponentCatalogue.builtIn.types[kind] ?? []).sorted() { text += "  - \(type)\n" }
        }
        text += "signals:\n"
        for signal in ComponentCatalogue.builtIn.signals { text += "  - \(signal)\n" }
        StandardStream.output.write(text)
    }
}
