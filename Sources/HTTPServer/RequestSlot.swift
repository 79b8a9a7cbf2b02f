/// Everything one request needs while it is under way. Slots are pooled per event loop and used again, so that a request
/// allocates nothing; `generation` tells an exchange that its request is over.
///
/// A slot goes back to the pool when nobody refers to it any more: the stream is over (answered or gone) **and** the service
/// does not hold the body. A client that hangs up, or a timeout, ends only the first.
///
/// `@exclusivity(unchecked)` here and on the connections: these properties are changed several times per request, on one event
/// loop, by code that does not come back to them meanwhile. The run-time checks took 13 % of a small request.
final class RequestSlot {
    enum Phase {
        /// In the pool.
        case free
        /// The head is coming in.
        case head
        /// Admitted; the body is coming in.
        case receiving
        /// The whole body is here, but not yet within the byte budget.
        case waiting
        /// `HTTPService.handle` was called and has not answered.
        case handling
        /// An answer was given to the connection; what still comes in is discarded.
        case answered
    }

    @exclusivity(unchecked) var generation: UInt32 = 0
    @exclusivity(unchecked) var phase = Phase.free
    /// When the phase began, nanoseconds of the event loop's clock.
    var phaseSince: UInt64 = 0
    /// When the request is answered with `.timeout`; `.max` for never.
    var deadline = UInt64.max

    let header = HeaderBlock()
    var isHeadTooLarge = false
    var isHeadMethod = false
    var contentLength: Int?
    var tag = 0

    @exclusivity(unchecked) var body = BodyBuffer()
    var bodyBytesMax = 0
    /// The whole request has come in.
    var isInputComplete = false
    /// Bytes of the body taken out of the byte budget.
    var reservedBytes = 0
    /// Bytes of the body that have come in and did not fit the byte budget.
    var unreservedBytes = 0
    var starvedSince: UInt64 = 0

    /// The service has the body and has not answered.
    @exclusivity(unchecked) var isHeldByService = false
    /// The client can still be answered.
    @exclusivity(unchecked) var isStreamOpen = false
    @exclusivity(unchecked) var connection: HTTPConnection?
    /// Place in the connection's list.
    var index = 0

    // HTTP/2
    var streamID: Int32 = 0
    /// Bytes whose share of the stream's window was not given back.
    var uncreditedBytes = 0
    @exclusivity(unchecked) var response: HTTPResponse?
    var responseOffset = 0
    var isAnsweredEarly = false

    /// Readies a slot from the pool for a new request.
    func open(_ connection: HTTPConnection, now: UInt64) {
        self.connection = connection
        phase = .head
        phaseSince = now
        isStreamOpen = true
    }

    /// Forgets everything but the memory. Body and budget were given back before.
    func clear() {
        precondition(body.start == nil && reservedBytes == 0 && unreservedBytes == 0, "a slot in the pool holds nothing")
        generation &+= 1
        phase = .free
        deadline = .max
        header.clear()
        isHeadTooLarge = false
        isHeadMethod = false
        contentLength = nil
        isInputComplete = false
        isHeldByService = false
        isStreamOpen = false
        connection = nil
        uncreditedBytes = 0
        response = nil
        responseOffset = 0
        isAnsweredEarly = false
    }
}
