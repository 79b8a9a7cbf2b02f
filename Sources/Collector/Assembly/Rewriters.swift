import Configuration
import Redaction

/// Processors that do their work before the write-ahead log (`redact_before_log`). A request is one record for all pipelines of its
/// receiver, so it is rewritten once, for all of them: they have to want the same.
extension Blueprints {
    /// The processor that rewrites the receiver's requests before they are logged.
    func rewriter(of receiver: ComponentID) -> ComponentID? {
        pipelines.lazy.filter { $0.receivers.contains(receiver) }.compactMap { rewriters(in: $0).first }.first
    }

    private func rewriters(in pipeline: Pipeline) -> [ComponentID] {
        pipeline.processors.filter { processors[$0]?.makeRewriter != nil }
    }

    /// Reports receivers whose pipelines do not agree.
    func checkRewriters(_ document: ConfigurationDocument) {
        for receiver in Topology.distinct(pipelines.flatMap(\.receivers)) {
            let fed = pipelines.filter { $0.receivers.contains(receiver) }
            let wanted = Topology.distinct(fed.flatMap(rewriters))
            guard let first = wanted.first, let component = document.component(.processors, first) else { continue }
            func problem(_ text: String) { component.section.problem(text, at: PIIRedactionConfig.beforeLogKey) }
            if wanted.count > 1 {
                let others = wanted.dropFirst().map { "'\($0)'" }.joined(separator: ", ")
                problem(
                    "requests of receiver '\(receiver)' can be redacted before the log by one processor only, and \(others) would do it too"
                )
            }
            for pipeline in fed where !pipeline.processors.contains(first) {
                problem(
                    "requests of receiver '\(receiver)' are redacted before the log for all pipelines that it feeds; "
                        + "'\(pipeline.id)' must have this processor too, or another receiver")
            }
        }
    }
}
