import OTLPWire
import Redaction

/// Recall and precision of a redactor on a labelled corpus.
///
/// The corpus is lines of fields parted by U+001F: the text, then for each sensitive value its kind, its start and its end
/// (byte offsets). A value counts as found when no byte of it is left; a finding counts as right when it lies in a labelled value
/// but for a few bytes around it, whatever its kind is called.
struct CorpusQuality {
    struct Figures {
        var labelled = 0
        var found = 0
        var reported = 0
        var right = 0
    }

    private(set) var figures: [String: Figures] = [:]
    private(set) var misses: [String] = []
    private(set) var textBytes = 0

    /// Bytes around a value that a finding may take along: a bracket, a country code's plus.
    private static let slack = 3

    init?(_ bytes: [UInt8], redactor: TextRedactor) {
        let scratch = RedactionScratch()
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: 0x1F, omittingEmptySubsequences: false).map(Array.init)
            guard fields.count % 3 == 1 else { return nil }
            var labels: [(kind: String, place: Range<Int>)] = []
            for index in stride(from: 1, to: fields.count, by: 3) {
                guard let start = Int(String(decoding: fields[index + 1], as: UTF8.self)),
                    let end = Int(String(decoding: fields[index + 2], as: UTF8.self)), start < end
                else { return nil }
                labels.append((String(decoding: fields[index], as: UTF8.self), start..<end))
            }
            compare(fields[0], labels, redactor, scratch)
        }
    }

    private mutating func compare(
        _ text: [UInt8], _ labels: [(kind: String, place: Range<Int>)], _ redactor: TextRedactor, _ scratch: RedactionScratch
    ) {
        textBytes += text.count
        var findings: [(kind: String, place: Range<Int>)] = []
        text.withUnsafeBytes { bytes in
            guard redactor.search(bytes, name: WireBytes(start: nil, count: 0), scratch) else { return }
            scratch.forEachEdit { place, kind, _ in findings.append((redactor.kindNames[kind], place)) }
        }
        for label in labels {
            figures[label.kind, default: Figures()].labelled += 1
            let isFound = label.place.allSatisfy { byte in findings.contains { $0.place.contains(byte) } }
            if isFound {
                figures[label.kind, default: Figures()].found += 1
            } else {
                misses.append("missed \(label.kind): \(Self.described(text, label.place))")
            }
        }
        for finding in findings {
            figures[finding.kind, default: Figures()].reported += 1
            let isRight = labels.contains { label in
                label.place.overlaps(finding.place) && finding.place.lowerBound >= label.place.lowerBound - Self.slack
                    && finding.place.upperBound <= label.place.upperBound + Self.slack
            }
            if isRight {
                figures[finding.kind, default: Figures()].right += 1
            } else {
                misses.append("wrong \(finding.kind): \(Self.described(text, finding.place))")
            }
        }
    }

    /// A value with what stands around it: the corpus holds nobody's data.
    private static func described(_ text: [UInt8], _ place: Range<Int>) -> String {
        let around = text[max(0, place.lowerBound - 25)..<min(text.count, place.upperBound + 15)]
        return "\(String(decoding: text[place], as: UTF8.self)) in \(String(decoding: around, as: UTF8.self))"
    }

    var overall: Figures {
        figures.values.reduce(into: Figures()) {
            $0.labelled += $1.labelled
            $0.found += $1.found
            $0.reported += $1.reported
            $0.right += $1.right
        }
    }

    func recall(_ kind: String) -> Double {
        guard let row = figures[kind], row.labelled > 0 else { return 0 }
        return Double(row.found) / Double(row.labelled)
    }

    var precision: Double { overall.reported == 0 ? 0 : Double(overall.right) / Double(overall.reported) }

    /// A line per kind: labelled values, recall, findings, precision.
    var table: String {
        var text = "kind             labelled  recall  reported  precision\n"
        for (kind, row) in figures.sorted(by: { $0.key < $1.key }) + [("overall", overall)] {
            let recall = row.labelled > 0 ? Self.share(row.found, row.labelled) : "-"
            let precision = row.reported > 0 ? Self.share(row.right, row.reported) : "-"
            text += Self.padded(kind, 16) + Self.padded("\(row.labelled)", -9) + Self.padded(recall, -8)
            text += Self.padded("\(row.reported)", -10) + Self.padded(precision, -11) + "\n"
        }
        return text
    }

    private static func share(_ part: Int, _ whole: Int) -> String {
        let permyriad = part * 10_000 / whole
        let digits = "\(permyriad % 10_000)"
        return "\(permyriad / 10_000)." + String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// Left-aligned in `width` columns, right-aligned when that is negative.
    private static func padded(_ text: String, _ width: Int) -> String {
        let fill = String(repeating: " ", count: max(0, abs(width) - text.count))
        return width < 0 ? fill + text : text + fill
    }
}
