internal import CNGHTTP2
import NIOCore

/// The one owner of an nghttp2 server session. Calls are thin; what nghttp2 reports comes through `HTTP2Callbacks` to the
/// connection it is bound to, which owns the session and so outlives it.
///
/// `nghttp2_session_del` does not report the streams it drops: the connection keeps its own list.
struct HTTP2Session: ~Copyable {
    /// A fatal error of the session (an `nghttp2_error`, negative): the connection is to be closed.
    struct Failure: Error {
        var code: Int
    }

    /// What RFC 9113 allows for SETTINGS_MAX_FRAME_SIZE (section 6.5.2) and for windows (6.9.1).
    private static let frameBytes = 16384...16_777_215
    private static let windowBytesMax = 2_147_483_647

    private let raw: OpaquePointer

    /// Starts a session and queues our SETTINGS.
    init(_ template: HTTP2SessionTemplate, _ limits: HTTPLimits) {
        var made: OpaquePointer?
        guard nghttp2_session_server_new2(&made, template.callbacks, nil, template.options) == 0, let made else {
            preconditionFailure("out of memory for a connection")
        }
        raw = made
        func entry(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
            nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(clamping: value))
        }
        let settings = [
            entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreamsMax),
            entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, min(limits.streamWindowBytes, Self.windowBytesMax)),
            entry(NGHTTP2_SETTINGS_MAX_FRAME_SIZE, min(max(limits.frameBytesMax, Self.frameBytes.lowerBound), Self.frameBytes.upperBound)),
            entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headerListBytesMax),
        ]
        let flags = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        guard nghttp2_submit_settings(raw, flags, settings, settings.count) == 0,
            nghttp2_session_set_local_window_size(raw, flags, 0, Int32(clamping: limits.connectionWindowBytes)) == 0
        else { preconditionFailure("out of memory for a connection") }
    }

    /// Says whom the callbacks are for. Before anything is received.
    borrowing func bind(_ connection: HTTP2Connection) {
        nghttp2_session_set_user_data(raw, Unmanaged.passUnretained(connection).toOpaque())
    }

    deinit {
        nghttp2_session_del(raw)
    }

    /// Takes in bytes from the client; runs callbacks.
    borrowing func receive(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        guard let start = bytes.baseAddress else { return }
        let taken = nghttp2_session_mem_recv(raw, start.assumingMemoryBound(to: UInt8.self), bytes.count)
        if taken < 0 { throw Failure(code: taken) }
    }

    /// The next frame to write, nil when there is none; runs callbacks. Valid until the next call.
    borrowing func nextOutput() throws(Failure) -> UnsafeRawBufferPointer? {
        var start: UnsafePointer<UInt8>?
        let count = nghttp2_session_mem_send(raw, &start)
        if count < 0 { throw Failure(code: count) }
        return count == 0 ? nil : UnsafeRawBufferPointer(start: start, count: count)
    }

    /// Neither side has anything left to say: close.
    var isFinished: Bool {
        nghttp2_session_want_read(raw) == 0 && nghttp2_session_want_write(raw) == 0
    }

    borrowing func attach(_ slot: RequestSlot, to stream: Int32) -> Bool {
        nghttp2_session_set_stream_user_data(raw, stream, Unmanaged.passUnretained(slot).toOpaque()) == 0
    }

    /// The slot of an open stream.
    borrowing func slot(_ stream: Int32) -> Unmanaged<RequestSlot>? {
        nghttp2_session_get_stream_user_data(raw, stream).map { Unmanaged.fromOpaque($0) }
    }

    /// Queues an answer. `date` is added when it is not empty; its memory must last until the headers are written.
    borrowing func submit(_ response: HTTPResponse, for slot: RequestSlot, date: UnsafeRawBufferPointer, withoutBody: Bool) -> Bool {
        let hasBody = !response.body.isEmpty && !withoutBody
        var provider = nghttp2_data_provider()
        provider.source.ptr = Unmanaged.passUnretained(slot).toOpaque()
        provider.read_callback = HTTP2Callbacks.readBody
        return withUnsafePointer(to: &provider) { provider in
            let source = hasBody || response.http2TrailerCount > 0 ? provider : nil
            if date.isEmpty {
                return nghttp2_submit_response(raw, slot.streamID, response.http2Headers, response.http2HeaderCount, source) == 0
            }
            let count = response.http2HeaderCount + 1
            return withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: count) { fields in
                _ = fields.initialize(from: UnsafeBufferPointer(start: response.http2Headers, count: count - 1))
                fields[count - 1] = nghttp2_nv(constantName: "date", copying: date)
                return nghttp2_submit_response(raw, slot.streamID, fields.baseAddress, count, source) == 0
            }
        }
    }

    borrowing func submitTrailers(_ response: HTTPResponse, stream: Int32) {
        nghttp2_submit_trailer(raw, stream, response.http2Trailers, response.http2TrailerCount)
    }

    /// Ends a stream: `isError` false (NO_ERROR) when the answer was whole and the rest of the request is not wanted.
    borrowing func reset(stream: Int32, isError: Bool) {
        let code = isError ? NGHTTP2_CANCEL : NGHTTP2_NO_ERROR
        nghttp2_submit_rst_stream(raw, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code.rawValue)
    }

    borrowing func creditConnection(_ bytes: Int) {
        nghttp2_session_consume_connection(raw, bytes)
    }

    borrowing func credit(stream: Int32, _ bytes: Int) {
        nghttp2_session_consume_stream(raw, stream, bytes)
    }

    /// First half of a graceful end: tells the client to stop opening streams, without refusing those on their way.
    borrowing func announceShutdown() {
        nghttp2_submit_shutdown_notice(raw)
    }

    /// Second half: streams beyond those seen are not processed.
    borrowing func refuseNewStreams() {
        let flags = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        nghttp2_submit_goaway(raw, flags, nghttp2_session_get_last_proc_stream_id(raw), NGHTTP2_NO_ERROR.rawValue, nil, 0)
    }

    /// Ends the session at once, with a reason for the client's log.
    borrowing func endCalmly(_ reason: StaticString) {
        let flags = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        nghttp2_submit_goaway(
            raw, flags, nghttp2_session_get_last_proc_stream_id(raw), NGHTTP2_ENHANCE_YOUR_CALM.rawValue, reason.utf8Start,
            reason.utf8CodeUnitCount)
    }
}

extension nghttp2_nv {
    /// A field whose value nghttp2 is to copy at once.
    fileprivate init(constantName name: StaticString, copying value: UnsafeRawBufferPointer) {
        self.init(
            name: UnsafeMutablePointer(mutating: name.utf8Start),
            value: UnsafeMutablePointer(mutating: value.baseAddress?.assumingMemoryBound(to: UInt8.self)),
            namelen: name.utf8CodeUnitCount, valuelen: value.count, flags: UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue))
    }
}
