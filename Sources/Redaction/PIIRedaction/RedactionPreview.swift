import OTLPWire
import Pipeline

/// What `pii_redaction` would do to requests, one at a time: rewrites them as the processor does, and says what it rewrote.
public final class RedactionPreview {
    private let config: PIIRedactionConfig
    private let redactor: TextRedactor

    public init(_ config: PIIRedactionConfig) {
        self.config = config
        redactor = config.redactor()
    }

    /// Rewrites the batch. Findings come resource by resource, then span by span.
    public func redact(_ batch: TraceBatch) throws(EditError) -> [RedactionFinding] {
        let worker = SpanRedactor(config, redactor, nil)
        let observer = RedactionObserver()
        worker.observer = observer
        try worker.edit(SpanSlice(batch), for: self)
        return observer.findings
    }
}
