import NIOCore

/// A client connection: what HTTP/1.1, HTTP/2 and a connection whose protocol is not known yet have in common. Subclasses are
/// the channel handlers. Lives on one event loop.
///
/// Rules all share:
/// - Nothing is read while our output waits for the client (`holdsReading`), so a client that does not read cannot make us
///   queue answers.
/// - Output is gathered and written once per read event, or once per turn of the event loop for later answers.
/// - A connection is ended by us in this order: last bytes written, output shut down, input read away until the client
///   closes or `lingerTimeout` passes. Closing with unread input makes TCP reset, and the client may lose our answer.
class HTTPConnection {
    let loop: EventLoopState
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    var loopIndex = 0
    /// Requests whose stream is open.
    @exclusivity(unchecked) var slots: ContiguousArray<RequestSlot> = []
    /// Requests the service still holds though their client has gone.
    var abandonedRequests = 0
    /// When the connection last had a request, or its start.
    var quietSince: UInt64
    var isReading = false
    var isDraining = false
    /// The client has shut down its side.
    var isInputClosed = false

    private(set) var isClosed = false
    /// Set once nothing more is taken in or answered.
    private(set) var endingSince: UInt64?
    /// When the last byte was written to an ending connection.
    private var outputEnded: UInt64?
    private var unwritableSince: UInt64?
    private var isReadHeld = false
    private var isFlushScheduled = false

    init(loop: EventLoopState) {
        self.loop = loop
        quietSince = loop.now
    }

    /// The client's address without port.
    var peerAddress: String { context?.remoteAddress?.ipAddress ?? "" }

    // MARK: For subclasses to give

    var version: HTTPRequestVersion { preconditionFailure("a subclass says which protocol it speaks") }
    /// Hands an answer to the protocol. The slot is in phase `answered`.
    func send(_ response: HTTPResponse, for slot: RequestSlot) { preconditionFailure("a subclass sends answers") }
    /// Bytes of a body are within the budget or were thrown away: the client may send as many again.
    func credit(_ slot: RequestSlot, _ bytes: Int) {}
    /// A request in line for the budget goes on, or has ended.
    func starvationEnded(_ slot: RequestSlot) {}
    /// Ends a request without an answer.
    func abort(_ slot: RequestSlot) { preconditionFailure("a subclass ends requests") }
    /// Writes what is due.
    func flushOutput() {}
    /// Protocol deadlines beyond those of the requests.
    func sweepProtocol() {}
    /// Takes no new requests, finishes those under way, then closes.
    func drain() { closeNow() }
    /// A reason of the protocol's own not to read.
    var holdsReading: Bool { false }

    // MARK: Life

    func opened(_ context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        if loop.isDraining { closeNow() }
    }

    /// The channel has gone, or another handler takes it over: nothing will be sent any more.
    func ended() {
        guard !isClosed else { return }
        isClosed = true
        while let slot = slots.last { streamEnded(slot) }
        loop.remove(self)
        context = nil
    }

    func closeNow() {
        context?.close(promise: nil)
    }

    /// Writes what is due and closes as the rules above say.
    func closeGracefully() {
        guard !isClosed, endingSince == nil else { return }
        endingSince = loop.now
        flushOutput()
        guard let context else { return }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in
            self.outputEnded = self.loop.now
            if self.isInputClosed { self.closeNow() }
        }
        if isInputClosed {
            // A half-close would close the whole channel now, and with it the bytes that still wait to be written.
            context.writeAndFlush(NIOAny(ByteBuffer()), promise: written)
        } else {
            context.close(mode: .output, promise: written)
            resumeReading()
        }
    }

    /// The client has shut down its side of an ending connection.
    func endIfWritten() {
        if outputEnded != nil { closeNow() }
    }

    func hitLimit(_ limit: HTTPLimit) {
        loop.metrics.hit(limit)
    }

    // MARK: Reading and writing

    func readRequested(_ context: ChannelHandlerContext) {
        if endingSince == nil && (holdsReading || !context.channel.isWritable) {
            isReadHeld = true
        } else {
            isReadHeld = false
            context.read()
        }
    }

    func resumeReading() {
        guard isReadHeld, let context else { return }
        readRequested(context)
    }

    func writabilityChanged(_ isWritable: Bool) {
        unwritableSince = isWritable ? nil : loop.now
        guard isWritable, !isClosed else { return }
        flushOutput()
        resumeReading()
    }

    /// Output is due: written when the current read event is over, else at the end of this turn of the event loop.
    func needsFlush() {
        guard !isReading, !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.flushSoon(self)
    }

    func flushNow() {
        isFlushScheduled = false
        if !isClosed { flushOutput() }
    }

    // MARK: Time

    func sweep() {
        guard !isClosed else { return }
        if let since = unwritableSince ?? (outputEnded == nil ? endingSince : nil), isPast(since, loop.limits.writeStallTimeout) {
            hitLimit(.writeStall)
            return closeNow()
        }
        if endingSince != nil {
            if let since = outputEnded, isPast(since, loop.limits.lingerTimeout) { closeNow() }
            return
        }
        // Answering may take a slot out of the list; going backwards, the one moved into its place was seen already.
        for index in slots.indices.reversed() where index < slots.count { sweep(slots[index]) }
        sweepProtocol()
    }

    func isPast(_ since: UInt64, _ amount: TimeAmount) -> Bool {
        loop.now >= since + UInt64(max(0, amount.nanoseconds))
    }
}
