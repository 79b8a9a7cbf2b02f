import Glibc
import OTLPWire
import Pipeline
import Sampling

/// Plays a timed script of export requests and tells the fate of each trace.
///
/// The script, from standard input: `u64` time in nanoseconds, `u32` length, that many bytes of an `ExportTraceServiceRequest`, all
/// little-endian, over and over; times ascend, and no bytes only move the clock. At its end everything is decided.
///
/// A line per decision: trace id, spans, `kept` or `dropped`, policy or `-`, adjusted count, time, cause, ids of the kept spans. The last
/// line is `# ` and counters as JSON.
struct Replay {
    private let components: BenchComponents
    private let replay: TailReplay

    init(_ components: BenchComponents, shards: Int?) {
        self.components = components
        let configured = components.sampling.numShards
        replay = TailReplay(components.sampling, shards: shards ?? (configured > 0 ? configured : 1), seed: 1)
    }

    func run() throws {
        var (kept, dropped, spans, keptSpans) = (0, 0, 0, 0)
        func tell(_ events: [TailReplay.Event]) {
            for event in events {
                if event.isKept { kept += 1 } else { dropped += 1 }
                if event.isKept { keptSpans += event.spanCount }
                print(Self.line(event))
            }
        }
        while let (time, bytes) = try Self.record() {
            guard !bytes.isEmpty else {
                tell(replay.advance(to: time))
                continue
            }
            let batch = try bytes.withUnsafeBytes { try TraceBatch.decode($0, receivedUnixNano: UInt64(time / .nanoseconds(1))) }
            spans += batch.spanCount
            let request = SpanBatch(batch)
            components.enrich?(request)
            tell(replay.add(request, at: time))
        }
        tell(replay.finish())
        print(
            """
            # {"spans":\(spans),"kept_spans":\(keptSpans),"kept":\(kept),"dropped":\(dropped),\
            "undecided":\(replay.undecidedTraceCount),"failures":\(replay.failureCount)}
            """)
    }

    private static func record() throws -> (time: Duration, bytes: [UInt8])? {
        var head = [UInt8](repeating: 0, count: 12)
        let count = try fill(&head)
        if count == 0 { return nil }
        guard count == head.count else { throw BenchFailure(description: "the script is cut off") }
        let (time, length) = head.withUnsafeBytes {
            (
                UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)),
                UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
            )
        }
        var bytes = [UInt8](repeating: 0, count: Int(length))
        guard try fill(&bytes) == bytes.count else { throw BenchFailure(description: "the script is cut off") }
        return (.nanoseconds(Int64(clamping: time)), bytes)
    }

    /// Reads until the buffer is full or the input ends.
    private static func fill(_ buffer: inout [UInt8]) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = buffer.withUnsafeMutableBytes { read(STDIN_FILENO, $0.baseAddress.map { $0 + filled }, $0.count - filled) }
            if count == 0 { break }
            guard count > 0 else { throw BenchFailure(description: "the script cannot be read") }
            filled += count
        }
        return filled
    }

    private static func line(_ event: TailReplay.Event) -> String {
        let ids = event.spanIDs.map { hex($0.word) }.joined(separator: ",")
        let time = Int64(event.time / .nanoseconds(1))
        return [
            hex(event.traceID.high) + hex(event.traceID.low), "\(event.spanCount)", event.isKept ? "kept" : "dropped", event.policy ?? "-",
            "\(event.adjustedCount)", "\(time)", event.cause, ids,
        ].joined(separator: "\t")
    }

    private static func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
