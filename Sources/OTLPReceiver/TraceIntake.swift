import Glibc
import OTLPWire
import Pipeline

/// From a request's bytes to a batch in the pipeline: decompress, decode, hand on. One per event loop, with its own
/// decompressor and JSON parser.
final class TraceIntake {
    private let next: any Consumer<SpanBatch>
    private let budget: MemoryBudget
    private let limits: DecodeLimits
    private let decompressor: Decompressor
    private let transcoder: JSONTranscoder
    /// Protobuf of the JSON request at hand.
    private var transcoded = OutputBuffer()
    private let transcodedBytesKept: Int
    /// Parts of `bufferBytesMax` that the decompressor's output and the protobuf of JSON may keep; the JSON parser has the rest.
    private static let partOfDecompressor = 4
    private static let partOfTranscoded = 8

    /// - Parameters:
    ///   - jsonBytesMax: largest JSON document taken.
    ///   - bufferBytesMax: memory kept between requests.
    init(next: any Consumer<SpanBatch>, budget: MemoryBudget, limits: DecodeLimits, jsonBytesMax: Int, bufferBytesMax: Int) {
        let decompressed = bufferBytesMax / Self.partOfDecompressor
        transcodedBytesKept = bufferBytesMax / Self.partOfTranscoded
        decompressor = Decompressor(budget: budget, retainedBytesMax: decompressed)
        transcoder = JSONTranscoder(
            documentBytesMax: jsonBytesMax, retainedBytesMax: bufferBytesMax - decompressed - transcodedBytesKept)
        self.next = next
        self.budget = budget
        self.limits = limits
    }

    var isServing: Bool {
        switch next.admission {
        case .accepted, .retryable(.queueFull, _), .retryable(.memoryLimit, _), .retryable(.logFull, _): true
        case .retryable(.shuttingDown, _), .retryable(.noPipeline, _), .retryable(.logUnavailable, _), .permanent: false
        }
    }

    /// - Parameter maxBytes: of the message after decompression.
    func take(
        _ payload: WireBytes, encoding: RequestKind.Encoding, compression: Compression, maxBytes: Int,
        metrics: ReceiverMetrics.Transport
    ) throws(RequestProblem) -> Answers.Success {
        // Refused before any work is put in: an overloaded collector must not spend its time on what it will not take.
        try Self.check(budget.admission(holding: payload.count))
        try Self.check(next.admission)
        if compression == .identity { return try decode(payload, encoding, holding: payload.count, metrics) }
        let outcome = try decompressor.withDecompressed(payload, compression, maxBytes: maxBytes) {
            (bytes) throws(RequestProblem) in
            try decode(bytes, encoding, holding: payload.count + bytes.count, metrics)
        }
        switch outcome {
        case .success(let success): return success
        case .failure(.malformed): throw .decompression
        case .failure(.tooLarge): throw .messageTooLarge(maxBytes: maxBytes)
        case .failure(.noMemory): throw .overloaded
        }
    }

    /// - Parameter holding: bytes that the request has in the budget.
    private func decode(
        _ bytes: WireBytes, _ encoding: RequestKind.Encoding, holding: Int, _ metrics: ReceiverMetrics.Transport
    ) throws(RequestProblem) -> Answers.Success {
        switch encoding {
        case .protobuf:
            return try consume(try decode(bytes, holding: holding), metrics)
        case .json:
            let workingBytes = JSONTranscoder.workingBytes(for: bytes)
            try reserve(workingBytes, holding: holding, orElse: .messageTooLarge(maxBytes: bytes.count - 1))
            defer { budget.release(workingBytes) }
            transcoded.removeAll(keepingCapacity: transcodedBytesKept)
            do {
                try transcoder.transcodeTraces(bytes, into: &transcoded)
            } catch {
                throw RequestProblem(error)
            }
            let result: Result<TraceBatch, RequestProblem> = transcoded.withBytes { protobuf in
                Result { () throws(RequestProblem) in try decode(protobuf, holding: holding + workingBytes) }
            }
            return try consume(try result.get(), metrics)
        }
    }

    /// Reserves before it decodes: first what any ordinary request stays below, and only for one that needs it all that it may have.
    private func decode(_ bytes: WireBytes, holding: Int) throws(RequestProblem) -> TraceBatch {
        let ordinary = limits.ordinaryArenaCapacity(forRequestBytes: bytes.count)
        do {
            return try decode(bytes, arenaBytesMax: ordinary, holding: holding)
        } catch {
            let most = limits.arenaCapacity(forRequestBytes: bytes.count)
            guard error == .expandsTooMuch, most > ordinary else { throw error }
            return try decode(bytes, arenaBytesMax: most, holding: holding)
        }
    }

    private func decode(_ bytes: WireBytes, arenaBytesMax: Int, holding: Int) throws(RequestProblem) -> TraceBatch {
        try reserve(arenaBytesMax, holding: holding, orElse: .expandsTooMuch)
        // The batch charges what it has taken.
        defer { budget.release(arenaBytesMax) }
        var limits = limits
        limits.arenaBytesMax = arenaBytesMax
        do {
            return try TraceBatch.decode(bytes, receivedUnixNano: Self.now(), limits: limits, account: budget)
        } catch {
            throw RequestProblem(error, limits: limits)
        }
    }

    private func reserve(_ bytes: Int, holding: Int, orElse problem: RequestProblem) throws(RequestProblem) {
        switch budget.reserveWork(bytes, holding: holding) {
        case .reserved: return
        case .full: throw .refused(.memoryLimit, after: nil)
        case .neverFits: throw problem
        }
    }

    private func consume(_ batch: TraceBatch, _ metrics: ReceiverMetrics.Transport) throws(RequestProblem) -> Answers.Success {
        if batch.spanCount > 0 {
            let outcome = next.consume(SpanBatch(batch))
            switch outcome {
            case .accepted: metrics.acceptedSpans.add(batch.spanCount)
            case .retryable: metrics.refusedSpans.add(batch.spanCount)
            case .permanent: metrics.failedSpans.add(batch.spanCount)
            }
            try Self.check(outcome)
        }
        if batch.droppedAttributeCount > 0 { metrics.attributeLimitHits.add(batch.droppedAttributeCount) }
        guard batch.rejectedSpanCount > 0 else { return .complete }
        metrics.refusedSpans.add(batch.rejectedSpanCount)
        return .partial(
            rejected: batch.rejectedSpanCount, reason: "spans need a 16-byte trace id and an 8-byte span id that are not all zero")
    }

    private static func check(_ outcome: Outcome) throws(RequestProblem) {
        switch outcome {
        case .accepted: return
        case .retryable(let refusal, let after): throw .refused(refusal, after: after)
        case .permanent(let refusal): throw .rejected(refusal)
        }
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
