import NIOCore

/// What the connection wants to know of a frame that came in whole.
enum HTTP2Frame {
    case requestHead(Int32, endsStream: Bool)
    case requestEnd(Int32)
    case reset
    case settings
    case ping
    /// Frames that cost us a little and carry no request.
    case control
    case other
}

/// HTTP/2: one nghttp2 session as a channel handler.
///
/// Bytes go straight from the read buffer into the session; what it reports is turned into the calls of `RequestLifecycle`;
/// its output is gathered into one buffer per read event. Flow control: the connection's window is given back for bytes
/// within the byte budget (and for those thrown away), in one call per flush; a stream's in steps of a quarter window, so
/// never for requests smaller than that.
final class HTTP2Connection: HTTPConnection, ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = Never
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// Output gathered before it is handed to the channel, bytes.
    private static let outputBytesMax = 256 * 1024

    private enum Shutdown {
        case none
        /// The client was told not to open streams; those on their way are still taken.
        case announced
        /// Streams that come now are not processed; the connection closes after the last one.
        case refusing
    }

    private let session: HTTP2Session
    @exclusivity(unchecked) private var abuse: HTTP2AbuseGuard
    @exclusivity(unchecked) private var output = ByteBuffer()
    private var uncreditedBytes = 0
    /// Open streams that were answered before their request was whole.
    private var earlyAnswers = 0
    private var isFlushing = false
    private var exceeded: HTTPLimit?
    private var shutdown = Shutdown.none
    /// The stream whose frames are coming in; spares nghttp2's lookup for requests of one frame each. In the list of open
    /// slots, so it is not retained here; cleared when a stream ends.
    private var current: Unmanaged<RequestSlot>?
    private var currentStream: Int32 = 0

    override init(loop: EventLoopState) {
        abuse = HTTP2AbuseGuard(loop.limits)
        session = HTTP2Session(loop.sessionTemplate, loop.limits)
        super.init(loop: loop)
        session.bind(self)
    }

    override var version: HTTPRequestVersion { .http2 }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        opened(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard endingSince == nil, exceeded == nil else { return }
        isReading = true
        loop.refreshClock()
        let buffer = unwrapInboundIn(data)
        do {
            try buffer.withUnsafeReadableBytes { bytes throws(HTTP2Session.Failure) in try session.receive(bytes) }
        } catch {
            // nghttp2 could not go on (a flood, no memory, a bad preface); GOAWAY is queued where it makes sense.
            flushOutput()
            closeNow()
        }
        if let exceeded { endForAbuse(exceeded) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flushOutput()
    }

    func read(context: ChannelHandlerContext) {
        readRequested(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writabilityChanged(context.channel.isWritable)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { closeNow() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        closeNow()
    }

    func channelInactive(context: ChannelHandlerContext) {
        forgetCurrent()
        ended()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        forgetCurrent()
        ended()
    }

    // MARK: From the session

    /// False refuses the stream.
    func streamOpened(_ stream: Int32) -> Bool {
        guard abandonedRequests < loop.limits.concurrentStreamsMax else {
            hitLimit(.abandonedRequests)
            return false
        }
        let slot = openSlot()
        slot.streamID = stream
        guard session.attach(slot, to: stream) else {
            streamEnded(slot)
            return false
        }
        current = Unmanaged.passUnretained(slot)
        currentStream = stream
        return true
    }

    func headerReceived(_ stream: Int32, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        slotReference(stream)?._withUnsafeGuaranteedRef { store(name, value, in: $0) }
    }

    @inline(__always)
    private func store(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, in slot: RequestSlot) {
        if slot.isHeadTooLarge { return }
        let listBytesMax = loop.limits.headerListBytesMax
        let fits: Bool
        if name.first != UInt8(ascii: ":") {
            fits = slot.header.appendLowerCase(name: name, value: value, listBytesMax: listBytesMax)
            if name.equals("content-length") { slot.contentLength = value.decimalNumber }
        } else if name.equals(":path") {
            fits = slot.header.setTarget(value, listBytesMax: listBytesMax)
        } else if name.equals(":method") {
            fits = slot.header.setMethod(value, listBytesMax: listBytesMax)
            slot.isHeadMethod = value.equals("HEAD")
        } else if name.equals(":authority") {
            fits = slot.header.appendHost(value, listBytesMax: listBytesMax)
        } else {
            return
        }
        slot.isHeadTooLarge = !fits
    }

    func frameReceived(_ frame: HTTP2Frame) {
        switch frame {
        case .requestHead(let stream, let endsStream):
            guard let slot = slot(stream) else { return }
            slot.isInputComplete = endsStream
            if slot.isHeadTooLarge {
                hitLimit(.headerBytes)
                answer(slot, PlainAnswers.headersTooLarge)
            } else {
                headComplete(slot)
                if endsStream { bodyComplete(slot) }
            }
        case .requestEnd(let stream):
            guard let slot = slot(stream) else { return }
            bodyComplete(slot)
        case .reset: note(abuse.streamReset(now: loop.now))
        case .settings: note(abuse.settingsFrame(now: loop.now))
        case .ping: note(abuse.ping(now: loop.now))
        case .control: note(abuse.controlFrame(now: loop.now))
        case .other: break
        }
    }

    func dataReceived(_ stream: Int32, _ bytes: UnsafeRawBufferPointer) {
        if let slot = slotReference(stream) {
            slot._withUnsafeGuaranteedRef { bodyBytes($0, bytes) }
        } else {
            uncreditedBytes += bytes.count
        }
    }

    func invalidFrameReceived(isRefusal: Bool) {
        note(isRefusal ? abuse.controlFrame(now: loop.now) : abuse.streamError(now: loop.now))
    }

    func streamClosed(_ stream: Int32) {
        guard let slot = slot(stream) else { return }
        forgetCurrent()
        if slot.isAnsweredEarly { earlyAnswers -= 1 }
        streamEnded(slot)
    }

    /// Copies the next part of an answer's body into a DATA frame.
    func fill(
        _ space: UnsafeMutableRawBufferPointer, _ reference: Unmanaged<RequestSlot>
    ) -> (count: Int, isLast: Bool, hasTrailers: Bool) {
        let slot = reference.takeUnretainedValue()
        guard let response = slot.response else { return (0, true, false) }
        let body = slot.isHeadMethod ? UnsafeRawBufferPointer(start: nil, count: 0) : response.body
        let count = min(space.count, body.count - slot.responseOffset)
        if count > 0 {
            space.copyMemory(from: UnsafeRawBufferPointer(rebasing: body[slot.responseOffset..<slot.responseOffset + count]))
        }
        slot.responseOffset += count
        guard slot.responseOffset == body.count else { return (count, false, false) }
        let hasTrailers = response.http2TrailerCount > 0
        if hasTrailers { session.submitTrailers(response, stream: slot.streamID) }
        return (count, true, hasTrailers)
    }

    private func slot(_ stream: Int32) -> RequestSlot? {
        slotReference(stream)?.takeUnretainedValue()
    }

    @inline(__always)
    private func slotReference(_ stream: Int32) -> Unmanaged<RequestSlot>? {
        if currentStream == stream { return current }
        current = session.slot(stream)
        currentStream = stream
        return current
    }

    private func forgetCurrent() {
        current = nil
        currentStream = 0
    }

    private func note(_ limit: HTTPLimit?) {
        if exceeded == nil { exceeded = limit }
    }

    private func endForAbuse(_ limit: HTTPLimit) {
        hitLimit(limit)
        session.endCalmly(limit == .pings ? "too_many_pings" : "too_many_frames")
        flushOutput()
        closeNow()
    }

    // MARK: To the session

    override func send(_ response: HTTPResponse, for slot: RequestSlot) {
        slot.response = response
        abuse.answered()
        let isQueued = loop.date.text.withUnsafeBytes { date in
            let date = response.isGRPC ? UnsafeRawBufferPointer(start: nil, count: 0) : date
            return session.submit(response, for: slot, date: date, withoutBody: slot.isHeadMethod)
        }
        if !isQueued {
            session.reset(stream: slot.streamID, isError: true)
        } else if !slot.isInputComplete {
            slot.isAnsweredEarly = true
            earlyAnswers += 1
        }
        needsFlush()
    }

    /// The last frame of an answer was written. When it came early the rest of the request is not wanted; told only now,
    /// because nghttp2 sends nothing more on a stream once its reset is queued.
    func answerSent(_ stream: Int32) {
        guard earlyAnswers > 0, let slot = slot(stream), !slot.isInputComplete else { return }
        session.reset(stream: stream, isError: false)
    }

    override func credit(_ slot: RequestSlot, _ bytes: Int) {
        uncreditedBytes += bytes
        slot.uncreditedBytes += bytes
        if slot.uncreditedBytes >= loop.limits.streamWindowBytes / 4, slot.phase == .receiving, slot.isStreamOpen {
            session.credit(stream: slot.streamID, slot.uncreditedBytes)
            slot.uncreditedBytes = 0
        }
        needsFlush()
    }

    override func abort(_ slot: RequestSlot) {
        if slot.phase == .head {
            // Until the header section ends nothing else can come on the connection.
            session.endCalmly("header section too slow")
            flushOutput()
            return closeNow()
        }
        session.reset(stream: slot.streamID, isError: true)
        needsFlush()
    }

    override func flushOutput() {
        guard !isFlushing, !isClosed, let context else { return }
        isFlushing = true
        defer { isFlushing = false }
        if uncreditedBytes > 0 {
            session.creditConnection(uncreditedBytes)
            uncreditedBytes = 0
        }
        output.clear()
        do throws(HTTP2Session.Failure) {
            var isWritable = context.channel.isWritable
            while isWritable, let frame = try session.nextOutput() {
                output.writeBytes(frame)
                guard output.readableBytes >= Self.outputBytesMax else { continue }
                write(context)
                isWritable = context.channel.isWritable
            }
        } catch {
            return closeNow()
        }
        if output.readableBytes > 0 { write(context) }
        if session.isFinished || (shutdown == .refusing && slots.isEmpty && context.channel.isWritable) {
            // Not from within itself: closing flushes once more.
            context.eventLoop.assumeIsolated().execute { self.closeGracefully() }
        }
    }

    private func write(_ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        output.clear()
    }

    // MARK: Ends

    override func sweepProtocol() {
        if shutdown == .announced {
            shutdown = .refusing
            session.refuseNewStreams()
            needsFlush()
        } else if shutdown == .none, slots.isEmpty, isPast(quietSince, loop.limits.idleTimeout) {
            hitLimit(.idle)
            drain()
        }
    }

    override func drain() {
        guard shutdown == .none else { return }
        shutdown = .announced
        session.announceShutdown()
        needsFlush()
    }
}

extension HeaderBlock {
    fileprivate func appendHost(_ value: UnsafeRawBufferPointer, listBytesMax: Int) -> Bool {
        "host".utf8.withContiguousStorageIfAvailable { name in
            appendLowerCase(name: UnsafeRawBufferPointer(name), value: value, listBytesMax: listBytesMax)
        } ?? true
    }
}
