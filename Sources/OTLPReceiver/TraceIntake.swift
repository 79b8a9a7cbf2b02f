import Glibc
import OTLPWire
import Pipeline

/// From a request's bytes to a batch in the pipeline: decompress, decode, make durable, hand on. One per event loop, with its own
/// decompressor and JSON parser.
final class TraceIntake {
    /// A decoded request and the bytes it was decoded from.
    struct Decoded {
        let batch: TraceBatch
        let success: Answers.Success
        /// What the write-ahead log gets.
        let payload: WireBytes
        /// Owns `payload` when that is not the body itself.
        let copy: PayloadCopy?
    }

    private let output: ReceiverOutput
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
    init(output: ReceiverOutput, budget: MemoryBudget, limits: DecodeLimits, jsonBytesMax: Int) {
        transcoder = JSONTranscoder(documentBytesMax: jsonBytesMax)
        self.output = output
        self.budget = budget
        self.limits = limits
    }

    var isServing: Bool {
        switch output.admission {
        case .accepted, .retryable(.queueFull, _), .retryable(.memoryLimit, _), .retryable(.logFull, _): true
        case .retryable(.shuttingDown, _), .retryable(.noPipeline, _), .retryable(.logUnavailable, _), .permanent: false
        }
    }

    /// Reads a request.
    ///
    /// - Parameter maxBytes: of the message after decompression.
    func read(
        _ payload: WireBytes, encoding: RequestKind.Encoding, compression: Compression, maxBytes: Int
    ) throws(RequestProblem) -> Decoded {
        // Refused before any work is put in: an overloaded collector must not spend its time on what it will not take.
        try Self.check(output.admission)
        if compression == .identity { return try decode(payload, encoding, isBody: true) }
        let outcome = try decompressor.withDecompressed(payload, compression, maxBytes: maxBytes) {
            (bytes) throws(RequestProblem) in
            budget.charge(bytes.count)
            defer { budget.release(bytes.count) }
            return try decode(bytes, encoding, isBody: false)
        }
        switch outcome {
        case .success(let decoded): return decoded
        case .failure(.malformed): throw .decompression
        case .failure(.tooLarge): throw .messageTooLarge(maxBytes: maxBytes)
        case .failure(.noMemory): throw .overloaded
        }
    }

    /// - Parameter isBody: the bytes stay valid until the request is answered.
    private func decode(
        _ bytes: WireBytes, _ encoding: RequestKind.Encoding, isBody: Bool
    ) throws(RequestProblem) -> Decoded {
        switch encoding {
        case .protobuf:
            return try decode(bytes, isBody: isBody)
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
            let result: Result<Decoded, RequestProblem> = transcoded.withBytes { protobuf in
                Result { () throws(RequestProblem) in try decode(protobuf, isBody: false) }
            }
            return try result.get()
        }
    }

    private func decode(_ bytes: WireBytes, isBody: Bool) throws(RequestProblem) -> Decoded {
        let batch: TraceBatch
        do {
            batch = try TraceBatch.decode(bytes, receivedUnixNano: Self.now(), limits: limits, account: budget)
        } catch {
            throw RequestProblem(error, limits: limits)
        }
        var success = Answers.Success.complete
        if batch.rejectedSpanCount > 0 {
            success = .partial(
                rejected: batch.rejectedSpanCount,
                reason: "spans need a 16-byte trace id and an 8-byte span id that are not all zero")
        }
        guard !isBody, isDurable, batch.spanCount > 0 else {
            return Decoded(batch: batch, success: success, payload: bytes, copy: nil)
        }
        guard let copy = PayloadCopy(of: bytes, budget: budget) else { throw .overloaded }
        return Decoded(batch: batch, success: success, payload: copy.bytes, copy: copy)
    }

    /// Whether requests are answered only once the write-ahead log has them.
    var isDurable: Bool { output.log != nil }

    /// Without the log: hands the batch on.
    func consume(_ decoded: Decoded, metrics: ReceiverMetrics.Transport) throws(RequestProblem) -> Answers.Success {
        let batch = decoded.batch
        if batch.spanCount > 0 {
            let outcome = output.consume(batch)
            switch outcome {
            case .accepted: metrics.acceptedSpans.add(batch.spanCount)
            case .retryable: metrics.refusedSpans.add(batch.spanCount)
            case .permanent: metrics.failedSpans.add(batch.spanCount)
            }
            try Self.check(outcome)
        }
        countRejected(batch, metrics)
        return decoded.success
    }

    /// With the log: makes the request durable. Its payload must stay valid until `completion` is called, from any thread.
    func append(_ decoded: Decoded, completion: @escaping @Sendable (AppendOutcome) -> Void) {
        output.log?.append(
            LogRequest(
                signal: .traces, project: output.receiver, receivedUnixNano: decoded.batch.receivedUnixNano, payload: decoded.payload),
            completion: completion)
    }

    /// With the log: what the log has said is carried out.
    func finish(_ waiting: WaitingRequest, _ outcome: AppendOutcome, metrics: ReceiverMetrics.Transport) throws(RequestProblem) {
        let spans = waiting.batch.spanCount
        switch outcome {
        case .durable(let sequence):
            output.deliver(waiting.batch, sequence: sequence)
            metrics.acceptedSpans.add(spans)
        case .repeated: break
        case .refused(let refusal):
            metrics.refusedSpans.add(spans)
            throw .refused(refusal, after: nil)
        }
        countRejected(waiting.batch, metrics)
    }

    private func countRejected(_ batch: TraceBatch, _ metrics: ReceiverMetrics.Transport) {
        if batch.droppedAttributeCount > 0 { metrics.attributeLimitHits.add(batch.droppedAttributeCount) }
        if batch.rejectedSpanCount > 0 { metrics.refusedSpans.add(batch.rejectedSpanCount) }
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
