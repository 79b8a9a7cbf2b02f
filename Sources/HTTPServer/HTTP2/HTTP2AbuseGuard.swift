import NIOCore

/// Decides when a client's HTTP/2 frames, each legal, are too many together. Pure: time is passed in, nanoseconds of a
/// monotonic clock; a returned limit means that the connection is to be closed with ENHANCE_YOUR_CALM.
///
/// What it answers: rapid reset (CVE-2023-44487), resets provoked by bad frames (CVE-2025-8671), ping, settings, and
/// empty-frame floods (CVE-2019-9512, -9515, -9518). CONTINUATION floods, frame sizes and acknowledgements that the client
/// does not read are bounded inside nghttp2 (see `HTTP2SessionTemplate`).
struct HTTP2AbuseGuard {
    private let pingIntervalNanoseconds: UInt64
    private let pingStrikesMax: Int
    private let framesPerAnswer: Int
    private var lastPing: UInt64?
    private var pingStrikes = 0
    private var resets: TokenBucket
    private var errors: TokenBucket
    private var settings: TokenBucket
    private var control: TokenBucket

    init(_ limits: HTTPLimits) {
        let window = UInt64(max(0, limits.abuseWindow.nanoseconds))
        // A tenth is left to the jitter of clients that ping at the very interval.
        pingIntervalNanoseconds = UInt64(max(0, limits.pingIntervalMin.nanoseconds)) / 10 * 9
        pingStrikesMax = limits.pingStrikesMax
        framesPerAnswer = limits.controlFramesPerAnswer
        resets = TokenBucket(capacity: limits.streamResetsMax, windowNanoseconds: window)
        errors = TokenBucket(capacity: limits.streamErrorsMax, windowNanoseconds: window)
        settings = TokenBucket(capacity: limits.settingsFramesMax, windowNanoseconds: window)
        control = TokenBucket(capacity: limits.controlFramesMax, windowNanoseconds: window)
    }

    /// A PING that is no acknowledgement.
    mutating func ping(now: UInt64) -> HTTPLimit? {
        defer { lastPing = now }
        guard let lastPing, now < lastPing + pingIntervalNanoseconds else { return nil }
        pingStrikes += 1
        return pingStrikes > pingStrikesMax ? .pings : nil
    }

    /// A RST_STREAM from the client.
    mutating func streamReset(now: UInt64) -> HTTPLimit? {
        resets.take(now: now) ? nil : .streamResets
    }

    /// A frame that made us reset a stream.
    mutating func streamError(now: UInt64) -> HTTPLimit? {
        errors.take(now: now) ? nil : .streamErrors
    }

    /// A SETTINGS frame that is no acknowledgement.
    mutating func settingsFrame(now: UInt64) -> HTTPLimit? {
        settings.take(now: now) ? nil : .settings
    }

    /// WINDOW_UPDATE, PRIORITY, an empty DATA frame that ends nothing, a stream beyond the allowed number.
    mutating func controlFrame(now: UInt64) -> HTTPLimit? {
        control.take(now: now) ? nil : .controlFrames
    }

    /// We answered a request: work was done for this client, so its pings measure something and its frames are earned.
    mutating func answered() {
        lastPing = nil
        pingStrikes = 0
        control.give(framesPerAnswer)
    }
}
