import ArgumentParser
import Configuration
import OTLPWire
import Redaction

struct RedactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redact", abstract: "Show what pii_redaction would change in spans: for people who write its rules.",
        discussion: """
            Reads OTLP/JSON requests, one after another, and runs the configuration's pii_redaction over them; nothing is sent anywhere. \
            Prints each value found: its field, the detector, the strategy, and what takes its place. Exit code 1 when the configuration \
            is at fault, 2 when the input is.
            """)

    enum Output: String, ExpressibleByArgument, CaseIterable { case text, json }

    @OptionGroup var options: ConfigurationOptions

    @Argument(help: ArgumentHelp("File with OTLP/JSON requests; standard input without it.", valueName: "file"))
    var file: String?

    @Option(help: ArgumentHelp("Take the processors of this pipeline.", valueName: "id"))
    var pipeline: String?

    @Option(help: ArgumentHelp("Take this processor alone.", valueName: "id"))
    var processor: String?

    @Option(help: "text: what was found. json: the spans as they come out, as OTLP/JSON, a request per line.")
    var output = Output.text

    @Flag(help: "Print the values themselves as well, as they were.")
    var showValues = false

    func run() async throws {
        let stages = try await CommandFailure.report {
            try RedactionChoice(try options.load().blueprints, pipeline: pipeline, processor: processor).stages
        }
        if stages.contains(where: { $0.config.usesRandomKey }) {
            StandardStream.error.write("note: without hash_key, hashes differ from those of a running collector")
        }
        let previews = stages.map { (id: $0.id.description, preview: RedactionPreview($0.config)) }
        var report = RedactionReport(showsValues: showValues, namesProcessors: stages.count > 1)
        try RequestInput.forEach(in: file) { (batch, line) throws(RequestInput.Problem) in
            var entries: [RedactionReport.Entry] = []
            do throws(EditError) {
                for stage in previews { entries += try stage.preview.redact(batch).map { (stage.id, $0) } }
            } catch {
                throw RequestInput.Problem(line: line, message: "the request is too large to be rewritten")
            }
            report.add(batch, entries)
            switch output {
            case .text: if !entries.isEmpty { StandardStream.output.write(report.text(batch, entries)) }
            case .json: StandardStream.output.write(Self.json(batch))
            }
        }
        // Where JSON goes, nothing else does.
        (output == .text ? StandardStream.output : .error).write(report.summary)
    }

    private static func json(_ batch: TraceBatch) -> String {
        var output = OutputBuffer()
        var writer = OTLPJSONWriter()
        for index in 0..<batch.spanCount { writer.add(batch[index], to: &output) }
        writer.finish(&output)
        return output.withBytes { String(decoding: $0, as: UTF8.self) }
    }
}
