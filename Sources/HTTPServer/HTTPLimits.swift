import NIOCore

/// Every limit of the front door, with its unit, default and reason.
public struct HTTPLimits: Sendable {
    // Connections

    /// Open connections of this listener; more are closed at once. Keeps descriptors for the stores and the log.
    public var connectionsMax = 8192
    /// Open connections from one address; more are closed at once. One client must not take the whole listener.
    public var connectionsPerAddressMax = 1024
    /// A connection without a request is closed after this.
    public var idleTimeout = TimeAmount.minutes(5)
    /// From a connection's start, or a head's first byte, to the end of the head. Against clients that trickle bytes.
    public var headerTimeout = TimeAmount.seconds(10)
    /// A client that does not take our answers for this long is disconnected.
    public var writeStallTimeout = TimeAmount.seconds(30)
    /// After its last answer a connection waits this long for the client to close, so that the answer is not lost to a reset.
    public var lingerTimeout = TimeAmount.seconds(2)

    // Requests

    /// Size of a header section as RFC 9113 section 6.5.2 counts it (names, values, 32 bytes per field). More is answered 431.
    public var headerListBytesMax = 16 * 1024
    /// Time for a whole body, lengthened by what `bodyBytesPerSecondMin` allows for the bytes that came.
    public var bodyTimeout = TimeAmount.seconds(30)
    /// A body longer than `bodyTimeout` must come at least this fast (bytes per second): 64 MiB take at most 17 minutes.
    public var bodyBytesPerSecondMin = 64 * 1024
    /// How long a request waits for the byte budget before it is answered `.overloaded`. Shorter than exporters' own timeouts (10 s).
    public var admissionWait = TimeAmount.seconds(2)
    /// Bytes per event loop that have come in within granted windows but do not fit the budget; a request that would go over is
    /// answered `.overloaded` at once. The hard bound on what the budget cannot foresee.
    public var unreservedBytesMax = 16 * 1024 * 1024
    /// Bytes per event loop of body buffers that are kept for the next requests.
    public var pooledBodyBytesMax = 4 * 1024 * 1024
    /// HTTP/1.1: how much of an unwanted body is read so that the connection can be kept.
    public var drainBytesMax = 64 * 1024

    // HTTP/2

    /// Streams open at a time on a connection (SETTINGS_MAX_CONCURRENT_STREAMS).
    public var concurrentStreamsMax = 100
    /// Flow-control window of a stream, bytes: most requests fit without a WINDOW_UPDATE.
    public var streamWindowBytes = 1024 * 1024
    /// Flow-control window of a connection, bytes: several large requests at a time, and 160 Mbit/s at 100 ms.
    public var connectionWindowBytes = 2 * 1024 * 1024
    /// Largest frame we take (SETTINGS_MAX_FRAME_SIZE), bytes: fewer frame headers for clients that use it.
    public var frameBytesMax = 64 * 1024
    /// PINGs that come faster than this while we answer nothing are strikes (as gRPC's "too_many_pings").
    public var pingIntervalMin = TimeAmount.seconds(10)
    /// Strikes before the connection is closed. Two as in gRPC: clients ping on their own guess of the interval.
    public var pingStrikesMax = 2
    /// RST_STREAM frames taken per `abuseWindow` (rapid reset, CVE-2023-44487).
    public var streamResetsMax = 200
    /// Stream errors a client may make us answer per `abuseWindow`: the same attack by provoked resets (CVE-2025-8671).
    public var streamErrorsMax = 100
    /// SETTINGS frames taken per `abuseWindow`; honest clients send one or two in all.
    public var settingsFramesMax = 20
    /// WINDOW_UPDATE, PRIORITY and empty DATA frames per `abuseWindow`, on top of `controlFramesPerAnswer`.
    public var controlFramesMax = 2000
    /// Control frames that every answered request entitles to, so that a busy client is never taken for an attacker.
    public var controlFramesPerAnswer = 8
    /// The period the four limits above refer to.
    public var abuseWindow = TimeAmount.seconds(30)

    // Machinery

    /// How often deadlines are looked at: one timer per event loop, none per request.
    public var sweepInterval = TimeAmount.milliseconds(250)
    /// Bytes taken from a socket in one read, at most; a connection that sends little takes less. Measured: reads of 16 KiB
    /// make a 230 KB request about a third dearer, reads of 256 KiB gain nothing.
    public var receiveBufferBytes = 64 * 1024

    public init() {}
}

/// What a listener is started with.
public struct HTTPServerSettings: Sendable {
    /// A host name or address to listen on; empty for every interface, `localhost` for 127.0.0.1.
    public var host: String
    /// The TCP port; 0 takes a free one.
    public var port: Int
    public var limits: HTTPLimits

    public init(host: String, port: Int, limits: HTTPLimits = HTTPLimits()) {
        self.host = host
        self.port = port
        self.limits = limits
    }
}
