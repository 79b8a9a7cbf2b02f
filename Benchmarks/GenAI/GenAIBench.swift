import GenAI
import Glibc
import Logging
import OTLPWire
import Pipeline
import SelfTelemetry

/// CPU time of the `genai` processor per span: `genai-bench FILE` with an OTLP request of LLM traces. Spans with the same number of
/// attributes, calls and others apart, are measured by themselves.
@main
enum GenAIBench {
    /// Takes batches and lets them go.
    private final class Drain: Consumer {
        var admission: Outcome { .accepted }
        func consume(_ batch: SpanBatch) -> Outcome { .accepted }
    }

    private static let rounds = 40
    private static let repeats = 50

    static func main() {
        guard CommandLine.arguments.count == 2, let bytes = file(CommandLine.arguments[1]) else {
            print("usage: genai-bench FILE")
            exit(2)
        }
        do {
            let batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 0) }
            let processor = Self.processor()
            let all = Array(0..<batch.spanCount)
            measure("all spans", batch, all, processor)
            for isCall in [false, true] {
                let places = all.filter { (batch[$0].attributes.first("gen_ai.operation.name") != nil) == isCall }
                measure(isCall ? "LLM calls" : "other spans", batch, places, processor)
            }
        } catch {
            print("cannot be measured: \(error)")
            exit(1)
        }
    }

    /// With a price for each of the payload's models.
    private static func processor() -> GenAIProcessor {
        var config = GenAIConfig()
        var price = ModelPrice()
        price.base.input = 2.5e-6
        price.base.output = 1e-5
        for model in ["gpt-4o-mini", "gpt-4o", "claude-3-5-sonnet", "llama3-1-70b-instruct"] { config.prices[model] = price }
        return GenAIProcessor(id: "genai", config: config, next: Drain(), registry: MetricRegistry(), logger: Logger(label: "bench"))
    }

    private static func file(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    /// The fastest round counts. Records are laid into the request's memory once and written over from then on, so what a round
    /// does but for that is what the first one does.
    private static func measure(_ name: String, _ batch: TraceBatch, _ places: [Int], _ processor: GenAIProcessor) {
        guard !places.isEmpty else { return }
        let whole = SpanSlice(batch)
        var ranges: [Range<Int>] = []
        for place in places {
            if let last = ranges.last, last.upperBound == place {
                ranges[ranges.count - 1] = last.lowerBound..<place + 1
            } else {
                ranges.append(place..<place + 1)
            }
        }
        let attributes = places.reduce(0) { $0 + batch[$1].attributeCount }
        let input = SpanBatch(slices: ranges.map { whole.part($0) })
        var best = Double.infinity
        for _ in 0..<rounds {
            let start = clock()
            for _ in 0..<repeats { _ = processor.consume(input) }
            best = min(best, Double(clock() - start) * 1e9 / Double(CLOCKS_PER_SEC))
        }
        let perSpan = best / Double(repeats * places.count)
        print("\(name): \(rounded(perSpan / 1_000)) µs per span of \(rounded(Double(attributes) / Double(places.count))) attributes")
    }

    private static func rounded(_ value: Double) -> String { "\((value * 1_000).rounded() / 1_000)" }
}
