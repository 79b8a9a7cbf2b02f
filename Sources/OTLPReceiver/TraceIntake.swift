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
        /// What the log recognises the request by when that is not `payload`.
        var identity: PayloadCopy?
    }

    private let output: ReceiverOutput
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
    init(output: ReceiverOutput, budget: MemoryBudget, limits: DecodeLimits, jsonBytesMax: Int, bufferBytesMax: Int) {
        let decompressed = bufferBytesMax / Self.partOfDecompressor
        transcodedBytesKept = bufferBytesMax / Self.partOfTranscoded
        decompressor = Decompressor(budget: budget, retainedBytesMax: decompressed)
        transcoder = JSONTranscoder(
            documentBytesMax: jsonBytesMax, retainedBytesMax: bufferBytesMax - decompressed - transcodedBytesKept)
        self.output = output
        self.budget = budget
        self.limits = limits
    }

    var isServing: Bool {
        switch output.admission {
        case .accepted, .retryable(.queueFull, _), .retryable(.memoryLimit, _), .retryable(.logFull, _): true
        case .retryable(.shuttingDown, _), .retryable(.noPipeline, _), .retryable(.logUnavailable, _), .retryable(.tooLarge, _),
            .retryable(.conditionFailed, _), .permanent:
            false
        }
    }

    /// Reads a request.
    ///
    /// - Parameter maxBytes: of the message after decompression.
    func read(
        _ payload: WireBytes, encoding: RequestKind.Encoding, compression: Compression, maxBytes: Int
    ) throws(RequestProblem) -> Decoded {
        // Refused before any work is put in: an overloaded collector must not spend its time on what it will not take.
        try Self.check(budget.admission(holding: payload.count))
        try Self.check(output.admission)
        if compression == .identity { return try decode(payload, encoding, holding: payload.count, isBody: true) }
        let outcome = try decompressor.withDecompressed(payload, compression, maxBytes: maxBytes) {
            (bytes) throws(RequestProblem) in
            try decode(bytes, encoding, holding: payload.count + bytes.count, isBody: false)
        }
        switch outcome {
        case .success(let decoded): return decoded
        case .failure(.malformed): throw .decompression
        case .failure(.tooLarge): throw .messageTooLarge(maxBytes: maxBytes)
        case .failure(.noMemory): throw .overloaded
        }
    }

    /// - Parameters:
    ///   - holding: bytes that the request has in the budget.
    ///   - isBody: the bytes stay valid until the request is answered.
    private func decode(
        _ bytes: WireBytes, _ encoding: RequestKind.Encoding, holding: Int, isBody: Bool
    ) throws(RequestProblem) -> Decoded {
        switch encoding {
        case .protobuf:
            return try decode(bytes, holding: holding, isBody: isBody)
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
            let result: Result<Decoded, RequestProblem> = transcoded.withBytes { protobuf in
                Result { () throws(RequestProblem) in try decode(protobuf, holding: holding + workingBytes, isBody: false) }
            }
            return try result.get()
        }
    }

    /// Reserves before it decodes: first what any ordinary request stays below, and only for one that needs it all that it may have.
    private func batch(of bytes: WireBytes, holding: Int) throws(RequestProblem) -> TraceBatch {
        let ordinary = limits.ordinaryArenaCapacity(forRequestBytes: bytes.count)
        do {
            return try batch(of: bytes, arenaBytesMax: ordinary, holding: holding)
        } catch {
            let most = limits.arenaCapacity(forRequestBytes: bytes.count)
            guard error == .expandsTooMuch, most > ordinary else { throw error }
            return try batch(of: bytes, arenaBytesMax: most, holding: holding)
        }
    }

    private func batch(of bytes: WireBytes, arenaBytesMax: Int, holding: Int) throws(RequestProblem) -> TraceBatch {
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

    private func decode(_ bytes: WireBytes, holding: Int, isBody: Bool) throws(RequestProblem) -> Decoded {
        let batch = try batch(of: bytes, holding: holding)
        var success = Answers.Success.complete
        if batch.rejectedSpanCount > 0 {
            success = .partial(
                rejected: batch.rejectedSpanCount,
                reason: "spans need a 16-byte trace id and an 8-byte span id that are not all zero")
        }
        if batch.spanCount > 0, let rewriter = output.rewriter { return try rewritten(batch, success, rewriter, holding: holding) }
        guard !isBody, isDurable, batch.spanCount > 0 else {
            return Decoded(batch: batch, success: success, payload: bytes, copy: nil)
        }
        try reserve(bytes.count, holding: holding + batch.byteCount, orElse: .messageTooLarge(maxBytes: bytes.count - 1))
        // The copy charges what it takes.
        defer { budget.release(bytes.count) }
        guard let copy = PayloadCopy(of: bytes, budget: budget) else { throw .overloaded }
        return Decoded(batch: batch, success: success, payload: copy.bytes, copy: copy)
    }

    /// What the log gets is made from the batch again, also when nothing was found: bytes as they came may hold more than the batch does,
    /// such as spans that were rejected.
    private func rewritten(
        _ batch: TraceBatch, _ success: Answers.Success, _ rewriter: any RequestRewriter, holding: Int
    ) throws(RequestProblem) -> Decoded {
        do throws(EditError) {
            try rewriter.rewrite(batch)
        } catch {
            throw .rejected(.tooLarge)
        }
        batch.rewrittenBy = rewriter.digest
        var encoded = OutputBuffer()
        OTLPProtobufWriter.append(batch, to: &encoded)
        // The encoded request, what the log gets of it, and what it is recognised by; the copies charge what they take.
        let bytes = encoded.count * (rewriter.variesByProcess ? 3 : 2)
        try reserve(bytes, holding: holding + batch.byteCount, orElse: .messageTooLarge(maxBytes: encoded.count - 1))
        defer { budget.release(bytes) }
        guard let copy = encoded.withBytes({ PayloadCopy(of: $0, budget: budget) }) else { throw .overloaded }
        var decoded = Decoded(batch: batch, success: success, payload: copy.bytes, copy: copy)
        if rewriter.variesByProcess {
            guard let identity = PayloadCopy(of: copy.bytes, budget: budget) else { throw .overloaded }
            rewriter.blankWhatVaries(in: identity.mutableBytes)
            decoded.identity = identity
        }
        return decoded
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
        var request = LogRequest(
            signal: .traces, project: output.receiver, receivedUnixNano: decoded.batch.receivedUnixNano, payload: decoded.payload)
        request.identity = decoded.identity?.bytes
        request.rewrittenBy = decoded.batch.rewrittenBy
        withExtendedLifetime(decoded.identity) { output.log?.append(request, completion: completion) }
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
