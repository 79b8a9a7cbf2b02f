import Crypto
import Glibc
import OTLPWire
import Redaction

/// Figures of the redactor. `redaction-bench corpus FILE` prints recall and precision per kind over a labelled corpus
/// (`Tests/RedactionTests/corpus.py`); `redaction-bench speed FILE PATTERNS` the CPU time over an OTLP request, and what
/// regular expressions take, a line each.
@main
enum RedactionBench {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count >= 3, let bytes = file(arguments[2]) else {
            print("usage: redaction-bench corpus FILE | speed FILE [PATTERNS]")
            exit(2)
        }
        switch arguments[1] {
        case "corpus": corpus(bytes)
        case "speed":
            guard let speed = RedactionSpeed(bytes) else { exit(1) }
            speed.report()
            if arguments.count > 3, let patterns = file(arguments[3]) {
                speed.compare(with: patterns.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) })
            }
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
}
