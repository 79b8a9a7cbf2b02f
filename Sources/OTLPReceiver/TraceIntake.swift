import Glibc
import OTLPWire
import Pipeline

/// From a request's bytes to a batch in the pipeline: decompress, decode, hand on. One per event loop, with its own
/// decompressor and JSON parser.
final class TraceIntake {
    private let next: any Consumer<SpanBatch>
    private let budget: MemoryBudget
    private let limits: DecodeLimits
    private let decompressor = Decompressor()
    private let transcoder: JSONTranscoder
    /// What parsing an honest document takes besides its own bytes: tape, strings and the protobuf. A hostile one takes up to
    /// `JSONTranscoder.workingBytesPerDocumentByte`; a second one is refused as long as the first is at work.
    private static let jsonWorkingBytesPerByte = 4
    /// Protobuf of the JSON request at hand.
    private var transcoded = OutputBuffer()

    /// - Parameter jsonBytesMax: largest JSON document taken.
    init(next: any Consumer<SpanBatch>, budget: MemoryBudget, limits: DecodeLimits, jsonBytesMax: Int) {
        transcoder = JSONTranscoder(documentBytesMax: jsonBytesMax)
        self.next = next
        self.budget = budget
        self.limits = limits
    }

    var isServing: Bool {
        switch next.admission {
        case .accepted, .retryable(.queueFull, _), .retryable(.memoryLimit, _), .retryable(.logFull, _), .retryable(.tooLarge, _): true
        case .retryable(.shuttingDown, _), .retryable(.noPipeline, _), .retryable(.logUnavailable, _), .permanent: false
        }
    }

    /// - Parameter maxBytes: of the message after decompression.
    func take(
        _ payload: WireBytes, encoding: RequestKind.Encoding, compression: Compression, maxBytes: Int,
        metrics: ReceiverMetrics.Transport
    ) throws(RequestProblem) -> Answers.Success {
        // Refused before any work is put in: an overloaded collector must not spend its time on what it will not take.
        try Self.check(next.admission)
        if compression == .identity { return try decode(payload, encoding, metrics) }
        let outcome = try decompressor.withDecompressed(payload, compression, maxBytes: maxBytes) {
            (bytes) throws(RequestProblem) in
            budget.charge(bytes.count)
            defer { budget.release(bytes.count) }
            return try decode(bytes, encoding, metrics)
        }
        switch outcome {
        case .success(let success): return success
        case .failure(.malformed): throw .decompression
        case .failure(.tooLarge): throw .messageTooLarge(maxBytes: maxBytes)
        case .failure(.noMemory): throw .overloaded
        }
    }

    private func decode(
        _ bytes: WireBytes, _ encoding: RequestKind.Encoding, _ metrics: ReceiverMetrics.Transport
    ) throws(RequestProblem) -> Answers.Success {
        switch encoding {
        case .protobuf:
            return try consume(bytes, metrics)
        case .json:
            let workingBytes = bytes.count * Self.jsonWorkingBytesPerByte
            guard budget.tryReserve(workingBytes) else { throw .refused(.memoryLimit, after: nil) }
            defer { budget.release(workingBytes) }
            transcoded.removeAll(keepingCapacity: Decompressor.retainedBytesMax)
            do {
                try transcoder.transcodeTraces(bytes, into: &transcoded)
            } catch {
                throw RequestProblem(error)
            }
            let result: Result<Answers.Success, RequestProblem> = transcoded.withBytes { protobuf in
                Result { () throws(RequestProblem) in try consume(protobuf, metrics) }
            }
            return try result.get()
        }
    }

    private func consume(_ bytes: WireBytes, _ metrics: ReceiverMetrics.Transport) throws(RequestProblem) -> Answers.Success {
        let batch: TraceBatch
        do {
            batch = try TraceBatch.decode(bytes, receivedUnixNano: Self.now(), limits: limits, account: budget)
        } catch {
            throw RequestProblem(error, limits: limits)
        }
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
