import Glibc
import Logging
import OTLPWire
import Pipeline
import SelfTelemetry

/// `pii_redaction` with `redact_before_log`: does the processor's work on whole requests before they are appended. The processor in
/// its place in the pipeline passes them on as they are (`PIIRedactionConfig.digest`).
public final class RequestRedactor: RequestRewriter {
    public let digest: UInt64
    public let variesByProcess: Bool
    private let pool: EditorPool<SpanRedactor>

    /// - Parameter processor: its id, for the metrics, which are the processor's.
    public init(processor: String, config: PIIRedactionConfig, registry: MetricRegistry) {
        digest = config.digest
        variesByProcess = config.usesRandomKey
        let redactor = config.redactor()
        let metrics = PIIRedactionMetrics(registry: registry, processor: processor, kinds: redactor.kindNames)
        pool = EditorPool(refused: metrics.refused) { SpanRedactor(config, redactor, metrics) }
    }

    public func rewrite(_ batch: TraceBatch) throws(EditError) {
        _ = try pool.edit(CollectionOfOne(SpanSlice(batch)), for: self)
    }

    /// The digits of every hash, and of what looks like one: that is the same each time the request is sent.
    public func blankWhatVaries(in payload: UnsafeMutableRawBufferPointer) {
        let prefix = TextRedactor.hashPrefix
        let first = Int32(prefix.utf8Start.pointee)
        var position = 0
        while let base = payload.baseAddress, position < payload.count,
            let found = memchr(base + position, first, payload.count - position)
        {
            position = found - base + 1
            guard payload.count - (found - base) >= prefix.utf8CodeUnitCount,
                memcmp(found, prefix.utf8Start, prefix.utf8CodeUnitCount) == 0
            else { continue }
            position = found - base + prefix.utf8CodeUnitCount
            let digits = min(TextRedactor.hashDigits, payload.count - position)
            memset(base + position, Int32(UInt8(ascii: "0")), digits)
            position += digits
        }
    }
}
