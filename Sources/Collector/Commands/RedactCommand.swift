import ArgumentParser
import Configuration
import Glibc
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

    /// Of input that cannot be read.
    private static let badInput = ExitCode(2)

    func run() async throws {
        let stages = try await CommandFailure.report {
            try RedactionChoice(try options.load().blueprints, pipeline: pipeline, processor: processor).stages
        }
        if stages.contains(where: { $0.config.usesRandomKey }) {
            StandardStream.error.write("note: without hash_key, hashes differ from those of a running collector")
        }
        let name = file ?? "standard input"
        do throws(RedactInput.Problem) {
            try redact(try read(name), stages.map { ($0.id.description, RedactionPreview($0.config)) }, name)
        } catch {
            StandardStream.error.write(error.line > 0 ? "\(name):\(error)" : "\(name): \(error.message)")
            throw Self.badInput
        }
    }

    private func read(_ name: String) throws(RedactInput.Problem) -> [UInt8] {
        do throws(FileBytes.Failure) {
            if let file { return try FileBytes.read(file, bytesMax: RedactInput.bytesMax) }
            if isatty(STDIN_FILENO) == 1 { StandardStream.error.write("reading OTLP/JSON from the terminal; Ctrl-D ends it") }
            return try FileBytes.read(descriptor: STDIN_FILENO, bytesMax: RedactInput.bytesMax)
        } catch {
            switch error {
            case .unreadable(let reason): throw RedactInput.Problem(line: 0, message: "cannot be read: \(reason)")
            case .tooLarge: throw RedactInput.Problem(line: 0, message: "is larger than \(RedactInput.bytesMax >> 20) MiB")
            }
        }
    }

    private func redact(
        _ bytes: [UInt8], _ stages: [(id: String, preview: RedactionPreview)], _ name: String
    ) throws(RedactInput.Problem) {
        var input = RedactInput(bytes)
        let reader = RequestReader()
        var report = RedactionReport(showsValues: showValues, namesProcessors: stages.count > 1)
        while let document = try input.next() {
            let batch = try reader.batch(of: document)
            if batch.rejectedSpanCount > 0 {
                StandardStream.error.write("\(name):\(document.line): \(batch.rejectedSpanCount) spans without valid ids are left out")
            }
            var entries: [RedactionReport.Entry] = []
            do throws(EditError) {
                for stage in stages { entries += try stage.preview.redact(batch).map { (stage.id, $0) } }
            } catch {
                throw RedactInput.Problem(line: document.line, message: "the request is too large to be rewritten")
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
