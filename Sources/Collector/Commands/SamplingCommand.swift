import ArgumentParser

struct SamplingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sampling", abstract: "Look at what samplers decide.", subcommands: [SamplingExplainCommand.self])
}
