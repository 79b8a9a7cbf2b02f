import Glibc
import OTLPWire
import Pipeline
import Sampling

/// CPU time and memory that tail sampling takes per span: traces of eight spans, `spans` of them undecided at a time.
struct Speed {
    private let components: BenchComponents
    private let shards: Int
    private let spans: Int

    private static let spansPerTrace = 8
    private static let spansPerRequest = 512
    /// Times that all spans come: the first one fills the tables.
    private static let rounds = 5

    init(_ components: BenchComponents, shards: Int?, spans: Int) {
        self.components = components
        self.shards = shards ?? 1
        self.spans = spans
    }

    func run() throws {
        let replay = TailReplay(components.sampling, shards: shards, seed: 1, showsSpans: false)
        let wait = components.sampling.decisionWait
        var best = (adding: Double.infinity, deciding: Double.infinity)
        var (kept, decided, bookkeeping, early) = (0, 0, 0, 0)
        for round in 0..<Self.rounds {
            let requests = try self.requests(round)
            for request in requests { components.enrich?(request) }
            let start = wait * (2 * round)
            let before = Self.cpuSeconds()
            for request in requests { early += replay.add(request, at: start).count }
            let added = Self.cpuSeconds()
            bookkeeping = max(bookkeeping, replay.bookkeepingBytes * Self.spansPerTrace / max(replay.heldSpanCount, 1))
            let events = replay.advance(to: start + wait)
            let end = Self.cpuSeconds()
            kept += events.count { $0.isKept }
            decided += events.count
            best.adding = min(best.adding, (added - before) / Double(spans))
            best.deciding = min(best.deciding, (end - added) / Double(spans))
        }
        print("spans \(spans), rounds \(Self.rounds), shards \(shards), traces kept \(kept) of \(decided), early \(early)")
        print("taking in: \(Self.rounded(best.adding * 1e6)) us CPU per span")
        print("deciding: \(Self.rounded(best.deciding * 1e6)) us CPU per span, \(Self.rounded(best.deciding * Double(spans))) s for all")
        print("together: \(Self.rounded((best.adding + best.deciding) * 1e6)) us CPU per span")
        print("bookkeeping: \(Self.rounded(Double(bookkeeping) / Double(Self.spansPerTrace))) bytes per held span")
    }

    private static func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }

    private static func cpuSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    // MARK: Requests

    private func requests(_ round: Int) throws -> [SpanBatch] {
        try stride(from: 0, to: spans, by: Self.spansPerRequest).map { first in
            let bytes = RequestBuilder.request(
                spans: first..<min(first + Self.spansPerRequest, spans), perTrace: Self.spansPerTrace, round: UInt64(round))
            return SpanBatch(try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: 1) })
        }
    }
}
