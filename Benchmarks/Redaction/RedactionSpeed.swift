import Crypto
import Glibc
import Logging
import OTLPWire
import Patterns
import Pipeline
import Redaction
import SelfTelemetry

/// CPU time of redaction over one OTLP request, per byte of the texts scanned and per span. The fastest of several rounds counts.
struct RedactionSpeed {
    private let bytes: [UInt8]
    private let batch: TraceBatch
    /// Bytes of the attributes' texts, which is what is scanned.
    private let textBytes: Int

    private static let rounds = 15
    private static let repeats = 20

    /// Nil, with a word about it, when `bytes` are no request.
    init?(_ bytes: [UInt8]) {
        self.bytes = bytes
        do {
            batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 0) }
        } catch {
            print("not an OTLP request: \(error)")
            return nil
        }
        textBytes = Self.texts(batch).reduce(0) { $0 + $1.text.count }
    }

    func report() {
        let key = KeyedHash(key: Array(repeating: 7, count: 32))
        print("\(batch.spanCount) spans with \(textBytes / batch.spanCount) bytes of text each")
        search("search, default detectors", TextRedactor(detect: .standard, strategy: .hash, key: key))
        search("search, all detectors", TextRedactor(detect: .all, strategy: .hash, key: key))
        search("search, default detectors, `replace` instead of HMACs", TextRedactor(detect: .standard, strategy: .replace, key: key))
        processor()
        walk()
    }

    /// What the processor does for each text, but without writing the texts anew.
    private func search(_ name: String, _ redactor: TextRedactor) {
        let scratch = RedactionScratch()
        var found = 0
        let best = fastest { _ in
            found = 0
            for index in 0..<batch.spanCount {
                for attribute in batch[index].attributes {
                    guard case .string(let text) = attribute.value else { continue }
                    if redactor.search(text, name: attribute.key, scratch) { found += 1 }
                }
            }
        }
        print("\(name): \(figures(best)); something found in \(found) texts")
    }

    /// Reading the attributes, which `search` does as well, by itself.
    private func walk() {
        var count = 0
        let best = fastest { _ in
            for index in 0..<batch.spanCount {
                for attribute in batch[index].attributes {
                    guard case .string(let text) = attribute.value else { continue }
                    count &+= text.count &+ attribute.key.count
                }
            }
        }
        precondition(count > 0)
        print("reading the attributes alone: \(figures(best))")
    }

    /// The same texts through regular expressions for the same detectors, as one set of RE2's: only which of them match.
    func compare(with patterns: [String]) {
        do {
            let set = try PatternSet(patterns)
            var matched = 0
            let best = fastest { _ in
                matched = 0
                for index in 0..<batch.spanCount {
                    for attribute in batch[index].attributes {
                        guard case .string(let text) = attribute.value else { continue }
                        if set.matches(in: text)?.isEmpty != true { matched += 1 }
                    }
                }
            }
            print("RE2::Set of \(patterns.count) patterns, which of them match: \(figures(best)); something in \(matched) texts")
        } catch {
            print("RE2::Set: \(error)")
        }
    }

    /// Takes batches and lets them go.
    private final class Drain: Consumer {
        var admission: Outcome { .accepted }
        func consume(_ batch: SpanBatch) -> Outcome { .accepted }
    }

    /// The whole processor as it is without configuration, each time on a request that was just decoded.
    private func processor() {
        let processor = PIIRedactionProcessor(
            id: "pii_redaction", config: PIIRedactionConfig(), next: Drain(), registry: MetricRegistry(), logger: Self.silent)
        var copies: [SpanBatch] = []
        let best = fastest {
            copies = (0..<Self.repeats).compactMap { _ in
                bytes.withUnsafeBytes { try? TraceBatch.decode($0, receivedUnixNano: 0) }.map { SpanBatch($0) }
            }
        } body: { round in
            precondition(processor.consume(copies[round]) == .accepted)
        }
        print("processor, what was found written in place: \(figures(best))")
    }

    private static var silent: Logger {
        var logger = Logger(label: "bench")
        logger.logLevel = .critical
        return logger
    }

    /// Nanoseconds of one of `repeats` calls of `body` in the fastest round.
    private func fastest(prepare: () -> Void = {}, body: (_ repetition: Int) -> Void) -> Double {
        var best = Double.infinity
        for _ in 0..<Self.rounds {
            prepare()
            let start = Self.threadNanoseconds
            for repetition in 0..<Self.repeats { body(repetition) }
            best = min(best, Double(Self.threadNanoseconds - start) / Double(Self.repeats))
        }
        return best
    }

    private static var threadNanoseconds: Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private func figures(_ nanoseconds: Double) -> String {
        let perByte = Self.rounded(nanoseconds / Double(textBytes), 100)
        return "\(perByte) ns per byte, \(Self.rounded(nanoseconds / Double(batch.spanCount), 1)) ns per span"
    }

    private static func rounded(_ value: Double, _ parts: Double) -> String { "\((value * parts).rounded() / parts)" }

    private static func texts(_ batch: TraceBatch) -> [(key: WireBytes, text: WireBytes)] {
        (0..<batch.spanCount).flatMap { index in
            batch[index].attributes.compactMap { attribute in
                guard case .string(let text) = attribute.value else { return nil }
                return (attribute.key, text)
            }
        }
    }
}
