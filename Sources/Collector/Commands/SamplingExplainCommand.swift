import ArgumentParser
import Configuration
import GenAI
import OTLPWire
import Sampling

struct SamplingExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Show for traces what each policy of tail_sampling says, and why.",
        discussion: """
            Reads OTLP/JSON requests; all spans of a trace must be in one of them. Each trace is looked at as if it were alone: rates and \
            budgets have all their room. Exit code 1 when the configuration is at fault, 2 when the input is.
            """)

    enum Output: String, ExpressibleByArgument, CaseIterable { case text, json }

    @OptionGroup var options: ConfigurationOptions

    @Argument(help: ArgumentHelp("File with OTLP/JSON requests; standard input without it.", valueName: "file"))
    var file: String?

    @Option(help: ArgumentHelp("Of this pipeline.", valueName: "id"))
    var pipeline: String?

    @Option(help: ArgumentHelp("This processor.", valueName: "id"))
    var processor: String?

    @Option(help: "text: for people. json: a line per trace.")
    var output = Output.text

    func run() async throws {
        let choice = try await CommandFailure.report {
            try SamplerChoice(try options.load().blueprints, pipeline: pipeline, processor: processor)
        }
        let explainer = TailExplainer(choice.config)
        let enrichers = choice.enrichers.map(GenAIPreview.init)
        try RequestInput.forEach(in: file) { batch, _ in
            for enricher in enrichers { enricher.enrich(batch) }
            for trace in explainer.explain(batch) {
                StandardStream.output.write(output == .text ? ExplanationText.text(trace) : ExplanationText.json(trace))
            }
        }
    }
}
