import OTLPWire

/// Rewrites requests before the write-ahead log gets them, so that the log never holds what is not to be kept. Called on event loops.
public protocol RequestRewriter: AnyObject, Sendable {
    /// Of what it does: a record with the same digest need not be rewritten again. Never 0.
    var digest: UInt64 { get }

    /// Rewrites all of the batch where it is.
    func rewrite(_ batch: TraceBatch) throws(EditError)

    /// Whether another process would write other bytes for the same request.
    var variesByProcess: Bool { get }

    /// Overwrites in a rewritten request's bytes what varies by process. A request that is sent again is recognised by what is left: it
    /// must not be recognised by the bytes as they came, because who knows the rest of a request could try values until the log's
    /// fingerprint fits.
    func blankWhatVaries(in payload: UnsafeMutableRawBufferPointer)
}
