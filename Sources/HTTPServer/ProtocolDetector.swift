import NIOCore
import NIOHTTP1

/// A connection whose protocol is not known yet. HTTP/2 with prior knowledge starts with a fixed preface (RFC 9113,
/// section 3.4) that no HTTP/1.1 request can start with; the first byte that differs decides.
///
/// First handler of the pipeline in clear text. TLS goes in front of it: after ALPN the bytes decide just the same.
final class ProtocolDetector: HTTPConnection, ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = Never

    enum Detection: Equatable {
        case http1
        case http2
        case undecided
    }

    private var received = ByteBuffer()

    /// Tells the protocol from the bytes received so far.
    static func detect(_ bytes: some Collection<UInt8>) -> Detection {
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8
        if !zip(bytes, preface).allSatisfy({ $0 == $1 }) { return .http1 }
        return bytes.count < preface.count ? .undecided : .http2
    }

    func handlerAdded(context: ChannelHandlerContext) {
        opened(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        let detection = received.withUnsafeReadableBytes { Self.detect($0) }
        let pipeline = context.pipeline.syncOperations
        do {
            switch detection {
            case .undecided: return
            case .http1:
                var limits = NIOHTTPDecoderLimitConfiguration()
                limits.maxHeaderListSize = loop.limits.headerListBytesMax
                limits.maxHeaderFieldSize = loop.limits.headerListBytesMax
                let decoder = ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: limits))
                try pipeline.addHandlers([decoder, HTTP1Connection(loop: loop)], position: .after(self))
            case .http2:
                try pipeline.addHandler(HTTP2Connection(loop: loop), position: .after(self))
            }
        } catch {
            return closeNow()
        }
        context.fireChannelRead(wrapInboundOut(received))
        received = ByteBuffer()
        pipeline.removeHandler(context: context, promise: nil)
    }

    func read(context: ChannelHandlerContext) {
        readRequested(context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { closeNow() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        closeNow()
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        ended()
    }

    override func sweepProtocol() {
        guard isPast(quietSince, loop.limits.headerTimeout) else { return }
        hitLimit(.headerTimeout)
        closeNow()
    }
}

extension ProtocolDetector: RemovableChannelHandler {}
