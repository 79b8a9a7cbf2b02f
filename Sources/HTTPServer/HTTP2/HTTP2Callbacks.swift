internal import CNGHTTP2
import Glibc
import NIOCore

/// What every session of an event loop is made from: callbacks and options, copied into each session by nghttp2.
final class HTTP2SessionTemplate {
    /// SETTINGS and PING acknowledgements that may wait to be written before the client counts as hostile. We stop reading
    /// when the socket is full, so this many can only come in one read.
    private static let outboundAcknowledgementsMax = 1000
    /// Entries of one SETTINGS frame; nine are defined.
    private static let settingsEntriesMax = 32
    /// CONTINUATION frames per header section (CVE-2024-28182); more than one is rare.
    private static let continuationsMax = 8

    let callbacks: OpaquePointer
    let options: OpaquePointer

    init(_ limits: HTTPLimits) {
        var callbacks: OpaquePointer?
        var options: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks, nghttp2_option_new(&options) == 0, let options else {
            preconditionFailure("out of memory at start")
        }
        self.callbacks = callbacks
        self.options = options
        // Windows are given back by us, as the byte budget allows.
        nghttp2_option_set_no_auto_window_update(options, 1)
        nghttp2_option_set_no_closed_streams(options, 1)
        nghttp2_option_set_max_outbound_ack(options, Self.outboundAcknowledgementsMax)
        nghttp2_option_set_max_settings(options, Self.settingsEntriesMax)
        nghttp2_option_set_max_continuations(options, Self.continuationsMax)
        HTTP2Callbacks.register(in: callbacks)
    }

    deinit {
        nghttp2_session_callbacks_del(callbacks)
        nghttp2_option_del(options)
    }
}

/// From C to the connection: recover it, convert, call one method. The connection is alive during every call, since it runs
/// the session, so nothing is retained.
enum HTTP2Callbacks {
    static func register(in callbacks: OpaquePointer) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
            guard let frame, let user, HTTP2Callbacks.isRequest(frame) else { return 0 }
            let stream = HTTP2Callbacks.header(frame).stream_id
            let isTaken = Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.streamOpened(stream) }
            return isTaken ? 0 : HTTP2Callbacks.refused
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, frame, name, nameCount, value, valueCount, _, user in
            guard let frame, let user, HTTP2Callbacks.isRequest(frame) else { return 0 }
            let name = UnsafeRawBufferPointer(start: name, count: nameCount)
            let value = UnsafeRawBufferPointer(start: value, count: valueCount)
            let stream = HTTP2Callbacks.header(frame).stream_id
            Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.headerReceived(stream, name, value) }
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, stream, bytes, count, user in
            guard let user else { return 0 }
            let bytes = UnsafeRawBufferPointer(start: bytes, count: count)
            Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.dataReceived(stream, bytes) }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            guard let frame, let user else { return 0 }
            let received = HTTP2Callbacks.received(frame)
            Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.frameReceived(received) }
            return 0
        }
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) { _, _, code, user in
            guard let user else { return 0 }
            let isRefusal = code == NGHTTP2_ERR_REFUSED_STREAM.rawValue
            Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.invalidFrameReceived(isRefusal: isRefusal) }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
            guard let frame, let user, HTTP2Callbacks.endsAnswer(frame) else { return 0 }
            let stream = HTTP2Callbacks.header(frame).stream_id
            Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.answerSent(stream) }
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, _, user in
            guard let user else { return 0 }
            Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.streamClosed(stream) }
            return 0
        }
    }

    /// Refuses one stream without ending the session.
    private static let refused = Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)

    /// All frames start with the same header, whichever member of the union they are.
    private static func header(_ frame: UnsafePointer<nghttp2_frame>) -> nghttp2_frame_hd {
        UnsafeRawPointer(frame).load(as: nghttp2_frame_hd.self)
    }

    /// HEADERS that open a stream, as opposed to trailers.
    private static func isRequest(_ frame: UnsafePointer<nghttp2_frame>) -> Bool {
        UnsafeRawPointer(frame).load(as: nghttp2_headers.self).cat == NGHTTP2_HCAT_REQUEST
    }

    private static func endsAnswer(_ frame: UnsafePointer<nghttp2_frame>) -> Bool {
        let header = header(frame)
        return UInt32(header.type) <= NGHTTP2_HEADERS.rawValue && header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    }

    private static func received(_ frame: UnsafePointer<nghttp2_frame>) -> HTTP2Frame {
        let header = header(frame)
        let endsStream = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        let isAcknowledgement = header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue:
            return endsStream ? .requestEnd(header.stream_id) : header.length == 0 ? .control : .other
        case NGHTTP2_HEADERS.rawValue:
            if isRequest(frame) { return .requestHead(header.stream_id, endsStream: endsStream) }
            return endsStream ? .requestEnd(header.stream_id) : .control
        case NGHTTP2_RST_STREAM.rawValue: return .reset
        case NGHTTP2_SETTINGS.rawValue: return isAcknowledgement ? .other : .settings
        case NGHTTP2_PING.rawValue: return isAcknowledgement ? .other : .ping
        case NGHTTP2_PRIORITY.rawValue, NGHTTP2_WINDOW_UPDATE.rawValue: return .control
        default: return .other
        }
    }

    /// Fills a DATA frame with what is left of an answer's body.
    static let readBody: nghttp2_data_source_read_callback = { _, _, target, capacity, flags, source, user in
        guard let target, let flags, let slot = source?.pointee.ptr, let user else { return ssize_t(refused) }
        let space = UnsafeMutableRawBufferPointer(start: target, count: capacity)
        let slotReference = Unmanaged<RequestSlot>.fromOpaque(slot)
        let part = Unmanaged<HTTP2Connection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.fill(space, slotReference) }
        if part.isLast { flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
        if part.hasTrailers { flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
        return part.count
    }
}
