import OTLPWire
import Redaction
import SelfTelemetry

/// What a dry run found, as text for people. A value's former text is shown only if asked for; what is shown is quoted, so that no
/// text can begin a line of its own or drive a terminal.
struct RedactionReport {
    let showsValues: Bool
    /// Several processors are at work: each line says which.
    let namesProcessors: Bool
    private(set) var spanCount = 0
    private(set) var changedSpanCount = 0
    private var counts: [String: Int] = [:]

    /// Wider ones do not push the others aside.
    private static let columnWidthMax = 60

    init(showsValues: Bool, namesProcessors: Bool) {
        self.showsValues = showsValues
        self.namesProcessors = namesProcessors
    }

    typealias Entry = (processor: String, finding: RedactionFinding)

    /// Takes down what was found in one request.
    mutating func add(_ batch: TraceBatch, _ entries: [Entry]) {
        spanCount += batch.spanCount
        var changed: Set<Int> = []
        for entry in entries {
            counts[entry.finding.kind, default: 0] += 1
            if case .span(let index) = entry.finding.subject { changed.insert(index) }
        }
        changedSpanCount += changed.count
    }

    /// One block for each resource and span in which something was found.
    ///
    /// - Parameter batch: after redaction.
    func text(_ batch: TraceBatch, _ entries: [Entry]) -> String {
        var subjects: [RedactionFinding.Subject] = []
        for entry in entries where !subjects.contains(entry.finding.subject) {
            // Those of one subject come together, unless there are several processors.
            subjects.append(entry.finding.subject)
        }
        return subjects.map { subject in
            let lines = entries.filter { $0.finding.subject == subject }.map(columns)
            return Self.title(subject, batch) + "\n" + Self.aligned(lines) + "\n"
        }.joined()
    }

    private static func title(_ subject: RedactionFinding.Subject, _ batch: TraceBatch) -> String {
        switch subject {
        case .resource(let number): return "resource \(number + 1)"
        case .span(let index):
            let span = batch[index]
            let name = JSONText.quoted(String(decoding: span.name, as: UTF8.self))
            return "span \(name) trace_id=\(hex(span.traceID.high) + hex(span.traceID.low)) span_id=\(hex(span.spanID.word))"
        }
    }

    private static func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Path, kind, strategy, and what stands there now.
    private func columns(_ entry: Entry) -> [String] {
        let finding = entry.finding
        var path = JSONText.quoted(finding.path)
        // Quotes only where they tell something.
        if path.utf8.count == finding.path.utf8.count + 2, !finding.path.contains(" ") { path = finding.path }
        if let event = finding.event { path += " (event \(event + 1))" }
        if let offset = finding.offset { path += " at byte \(offset)" }
        let isGone = finding.strategy == .remove
        var result = isGone ? "removed" : JSONText.quoted(finding.after)
        if showsValues { result = JSONText.quoted(finding.before) + (isGone ? " " : " -> ") + result }
        return [path, finding.kind, finding.strategy.rawValue, result] + (namesProcessors ? ["by \(entry.processor)"] : [])
    }

    private static func aligned(_ lines: [[String]]) -> String {
        let widths = (0..<(lines.first?.count ?? 0)).map { column in
            min(columnWidthMax, lines.map { $0[column].unicodeScalars.count }.max() ?? 0)
        }
        return lines.map { line in
            let padded = zip(line, widths).enumerated().map { place, cell in
                let missing = place == line.count - 1 ? 0 : max(0, cell.1 - cell.0.unicodeScalars.count)
                return cell.0 + String(repeating: " ", count: missing)
            }
            return "  " + padded.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// `2 of 3 spans changed; 4 values: 3 email, 1 secrets`
    var summary: String {
        let total = counts.values.reduce(0, +)
        guard total > 0 else { return "\(spanCount) spans, nothing found" }
        let kinds = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
        return "\(changedSpanCount) of \(spanCount) spans changed; \(total) values: " + kinds.joined(separator: ", ")
    }
}
