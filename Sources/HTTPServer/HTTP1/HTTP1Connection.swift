import NIOCore
import NIOHTTP1

/// HTTP/1.1 behind NIO's decoder, as a channel handler.
///
/// One request at a time is taken in and answered; the parts of those that a client sends ahead (pipelining) wait in a queue,
/// and while it is not empty nothing more is read. The decoder parses a whole read at once, so the queue holds at most what
/// one read brings. Framing errors (llhttp's, in strict mode) are answered once and end the connection.
final class HTTP1Connection: HTTPConnection, ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = Never
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// Parts that may wait behind a request: some 250 requests sent ahead. What one read can hold would take megabytes.
    private static let queuedPartsMax = 512

    private enum Input {
        case part(HTTPServerRequestPart)
        /// The decoder gave up; to be answered after what came before.
        case failure(HTTPResponse)
    }

    @exclusivity(unchecked) private var queue = CircularBuffer<Input>()
    private var isProcessing = false
    /// The request whose parts are coming in, or that is being answered.
    private var current: RequestSlot?
    private var currentKeepsAlive = false
    private var currentIsHTTP10 = false
    /// The client waits for "100 Continue" before it sends the body.
    private var currentExpectsContinue = false
    /// Bytes of an unwanted body read so far.
    private var drainedBytes = 0
    private var hasFailed = false
    /// The current read event brought a part.
    private var hasReadParts = false
    /// When bytes came that did not make a whole head yet.
    private var headSince: UInt64?
    @exclusivity(unchecked) private var output = ByteBuffer()

    override var version: HTTPRequestVersion { .http1 }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        opened(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard endingSince == nil, !hasFailed else { return }
        isReading = true
        hasReadParts = true
        headSince = nil
        loop.refreshClock()
        let part = unwrapInboundIn(data)
        if queue.isEmpty && canProcess {
            isProcessing = true
            process(.part(part))
            isProcessing = false
        } else if queue.count < Self.queuedPartsMax {
            queue.append(.part(part))
        } else {
            hitLimit(.pipelining)
            closeNow()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        // The decoder keeps a head to itself until it is whole: bytes that bring no part, while no request is under way, are one.
        if !hasReadParts && slots.isEmpty && headSince == nil { headSince = loop.now }
        hasReadParts = false
        flushOutput()
    }

    func read(context: ChannelHandlerContext) {
        readRequested(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writabilityChanged(context.channel.isWritable)
        if context.channel.isWritable { processQueue() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // NIO's decoder reports whatever follows an error. It is read away, so that the answer is not lost to a reset.
        if hasFailed && error is ByteToMessageDecoderError { return }
        guard let error = error as? HTTPParserError else { return closeNow() }
        guard endingSince == nil, !hasFailed, !isInputClosed else { return }
        hasFailed = true
        switch error {
        case .headerOverflow:
            hitLimit(.headerBytes)
            queue.append(.failure(PlainAnswers.headersTooLarge))
        case .invalidVersion: queue.append(.failure(PlainAnswers.versionNotSupported))
        case .invalidEOFState: return closeNow()
        default: queue.append(.failure(PlainAnswers.badRequest))
        }
        processQueue()
        if !isReading { flushOutput() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed = event else { return }
        isInputClosed = true
        if endingSince != nil { return endIfWritten() }
        // A client may shut down its side after whole requests and still read the answers; of others nothing more will come.
        switch current?.phase {
        case .handling, .waiting: break
        case nil where !queue.isEmpty: break
        case nil, .answered: closeGracefully()
        case .free, .head, .receiving: closeNow()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
    }

    private func end() {
        current = nil
        queue.removeAll()
        ended()
    }

    // MARK: Taking in

    /// The next part may be looked at: no complete request is waiting for its answer, and the client takes our output.
    private var canProcess: Bool {
        guard !isProcessing, endingSince == nil, !isClosed else { return false }
        guard let current else { return context?.channel.isWritable ?? false }
        return current.phase != .waiting && current.phase != .handling
    }

    private func processQueue() {
        while canProcess, let input = queue.popFirst() {
            isProcessing = true
            process(input)
            isProcessing = false
        }
        if queue.isEmpty { resumeReading() }
    }

    private func process(_ input: Input) {
        switch input {
        case .part(.head(let head)): headReceived(head)
        case .part(.body(let body)): bodyReceived(body)
        case .part(.end): endReceived()
        case .failure(let response):
            currentKeepsAlive = false
            let slot = current ?? openSlot()
            current = slot
            if slot.phase == .answered { return closeGracefully() }
            answer(slot, response)
        }
    }

    private func headReceived(_ head: NIOHTTP1.HTTPRequestHead) {
        let slot = openSlot()
        current = slot
        drainedBytes = 0
        currentKeepsAlive = head.isKeepAlive && !isDraining
        currentIsHTTP10 = head.version.minor == 0
        currentExpectsContinue = false
        slot.isHeadMethod = head.method == .HEAD
        if let refusal = slot.take(head, loop.limits.headerListBytesMax) {
            currentKeepsAlive = false
            if refusal === PlainAnswers.headersTooLarge { hitLimit(.headerBytes) }
            return answer(slot, refusal)
        }
        // NIO's decoder stops after a request that asks for another protocol, which we do not offer.
        if slot.hasHeader("upgrade") || head.method == .CONNECT { currentKeepsAlive = false }
        currentExpectsContinue = slot.hasHeader("expect") && !currentIsHTTP10
        headComplete(slot)
        if currentExpectsContinue && slot.phase == .receiving {
            currentExpectsContinue = false
            output.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            needsFlush()
        }
    }

    private func bodyReceived(_ body: ByteBuffer) {
        guard let current else { return }
        if current.phase == .answered {
            drainedBytes += body.readableBytes
            if drainedBytes > loop.limits.drainBytesMax { closeGracefully() }
        } else {
            body.withUnsafeReadableBytes { bodyBytes(current, $0) }
        }
    }

    private func endReceived() {
        guard let current else { return }
        bodyComplete(current)
        if current.phase == .answered { requestOver(current) }
    }

    /// Answered, and taken in whole: the next one may come.
    private func requestOver(_ slot: RequestSlot) {
        guard slot.isStreamOpen else { return }
        if currentKeepsAlive {
            current = nil
            streamEnded(slot)
        } else {
            closeGracefully()
        }
    }

    // MARK: Answering

    override func send(_ response: HTTPResponse, for slot: RequestSlot) {
        // 408: the rest of the body is not waited for any longer (RFC 9110 section 15.5.9).
        if !slot.isInputComplete && (response.status == 408 || !canDrain(slot)) { currentKeepsAlive = false }
        if isDraining || (isInputClosed && queue.isEmpty) { currentKeepsAlive = false }
        output.writeBytes(response.http1Head)
        output.writeStaticString("date: ")
        output.writeBytes(loop.date.text)
        if !currentKeepsAlive {
            output.writeStaticString("\r\nconnection: close\r\n\r\n")
        } else if currentIsHTTP10 {
            output.writeStaticString("\r\nconnection: keep-alive\r\n\r\n")
        } else {
            output.writeStaticString("\r\n\r\n")
        }
        if !slot.isHeadMethod { output.writeBytes(response.body) }
        needsFlush()
        guard slot.isInputComplete || !currentKeepsAlive else { return }
        // Inside `process` the caller sees to the rest; the request may not end under its hands.
        if isProcessing && slot.isInputComplete { return }
        requestOver(slot)
        processQueue()
    }

    /// Whether what is left of an unwanted body is worth reading to keep the connection.
    private func canDrain(_ slot: RequestSlot) -> Bool {
        if currentExpectsContinue { return false }
        guard let length = slot.contentLength else { return true }
        return length - slot.body.count <= loop.limits.drainBytesMax
    }

    override func abort(_ slot: RequestSlot) {
        closeNow()
    }

    override func starvationEnded(_ slot: RequestSlot) {
        resumeReading()
    }

    override var holdsReading: Bool {
        !queue.isEmpty || (current?.unreservedBytes ?? 0) > 0
    }

    override func flushOutput() {
        guard output.readableBytes > 0, !isClosed, let context else { return }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        output.clear()
    }

    // MARK: Ends

    override func sweepProtocol() {
        if let headSince, isPast(headSince, loop.limits.headerTimeout) {
            self.headSince = nil
            hasFailed = true
            hitLimit(.headerTimeout)
            process(.failure(PlainAnswers.requestTimeout))
        } else if slots.isEmpty && isPast(quietSince, loop.limits.idleTimeout) {
            hitLimit(.idle)
            closeNow()
        }
    }

    override func drain() {
        isDraining = true
        if slots.isEmpty { closeGracefully() }
    }
}
