import Crypto
import Glibc
import OTLPWire
import Redaction

/// Figures of the redactor. `redaction-bench corpus FILE` prints recall and precision per kind over a labelled corpus
/// (`Tests/RedactionTests/corpus.py`); `redaction-bench speed FILE` the CPU time per byte over an OTLP request.
@main
enum RedactionBench {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let bytes = file(arguments[2]) else {
            print("usage: redaction-bench corpus|speed FILE")
            exit(2)
        }
        switch arguments[1] {
        case "corpus": corpus(bytes)
        case "speed": speed(bytes)
        default: exit(2)
        }
    }

    private static func file(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    // MARK: Quality

    private static func corpus(_ bytes: [UInt8]) {
        let redactor = TextRedactor(detect: .all, strategy: .replace, key: KeyedHash(key: Array(repeating: 7, count: 32)))
        guard let quality = CorpusQuality(bytes, redactor: redactor) else {
            print("not a corpus")
            exit(1)
        }
        print(quality.table, terminator: "")
        for line in quality.misses.prefix(40) { print(line) }
    }

    // MARK: Speed

    private static func speed(_ bytes: [UInt8]) {
        let batch: TraceBatch
        do {
            batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 0) }
        } catch {
            print("not an OTLP request: \(error)")
            exit(1)
        }
        let key = KeyedHash(key: Array(repeating: 7, count: 32))
        for (name, kinds) in [("default detectors", KindSet.standard), ("all detectors", KindSet.all)] {
            let redactor = TextRedactor(detect: kinds, strategy: .hash, key: key)
            measure(name, batch, redactor)
        }
    }

    private static func measure(_ name: String, _ batch: TraceBatch, _ redactor: TextRedactor) {
        let scratch = RedactionScratch()
        var best = Double.infinity
        var textBytes = 0
        var found = 0
        for _ in 0..<15 {
            textBytes = 0
            found = 0
            let start = clock()
            for _ in 0..<20 {
                for index in 0..<batch.spanCount { search(batch[index], redactor, scratch, &textBytes, &found) }
            }
            best = min(best, Double(clock() - start) * 1_000_000_000 / Double(CLOCKS_PER_SEC))
        }
        let perByte = best / Double(textBytes)
        let perSpan = best / Double(20 * batch.spanCount)
        let bytesPerSpan = textBytes / 20 / batch.spanCount
        print(
            "\(name): \(rounded(perByte)) ns per byte, \(rounded(perSpan)) ns per span of \(bytesPerSpan) bytes of text;",
            "\(found / 20) values found")
    }

    private static func search(
        _ span: SpanView, _ redactor: TextRedactor, _ scratch: RedactionScratch, _ textBytes: inout Int, _ found: inout Int
    ) {
        for attribute in span.attributes {
            guard case .string(let text) = attribute.value else { continue }
            textBytes += text.count
            if redactor.search(text, name: attribute.key, scratch) { found += 1 }
        }
    }

    private static func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}
