import NIOCore

/// What answers requests.
///
/// There is one instance per event loop and it is only ever called on that loop, so it may keep scratch buffers without
/// locks. Both HTTP/1.1 and HTTP/2 end in the same two calls.
public protocol HTTPService: AnyObject {
    /// The header section is complete and no body byte was handed over yet: route, check, limit, authenticate here.
    ///
    /// - Parameter head: valid during the call only.
    func begin(_ head: borrowing HTTPRequestHead) -> HTTPAdmission

    /// The whole body is here. Answer now or later, exactly once, through `exchange`.
    ///
    /// - Parameters:
    ///   - request: the head is valid during the call, the body's bytes until the answer is given.
    ///   - exchange: where the answer goes. It must be answered even when nobody listens any more: that is what frees the body.
    func handle(_ request: borrowing HTTPRequest, _ exchange: HTTPExchange)

    /// Words the answer to a request that was admitted by `begin` and then failed for a reason the server found.
    ///
    /// - Parameters:
    ///   - tag: what `begin` gave for this request.
    ///   - head: valid during the call only.
    func failure(_ reason: HTTPFailure, tag: Int, head: borrowing HTTPRequestHead) -> HTTPResponse
}

/// What is to become of a request, decided from its head.
public enum HTTPAdmission {
    /// Take the body in, then call `handle`.
    ///
    /// - `tag`: given back with the request, for the service's own use (a route, a signal).
    /// - `bodyBytesMax`: a longer body is answered with `.bodyTooLarge`, at once when `content-length` tells.
    /// - `timeout`: from now to the answer; past it the request is answered with `.timeout`. Checked every
    ///   `HTTPLimits.sweepInterval`.
    case receive(tag: Int, bodyBytesMax: Int, timeout: TimeAmount?)
    /// Answer without the body. What is left of it is discarded: HTTP/2 resets the stream with NO_ERROR after the answer,
    /// HTTP/1.1 reads up to `HTTPLimits.drainBytesMax` and closes the connection when there is more.
    case respond(HTTPResponse)
}

/// Why the server ends a request that the service had admitted.
public enum HTTPFailure: Sendable, CaseIterable {
    /// The body is longer than `bodyBytesMax`.
    case bodyTooLarge
    /// The timeout given by `begin` has passed.
    case timeout
    /// The body comes slower than `HTTPLimits.bodyTimeout` and `bodyBytesPerSecondMin` allow.
    case bodyTooSlow
    /// The byte budget stayed exhausted for `HTTPLimits.admissionWait`.
    case overloaded
}

/// A process-wide budget of bytes that requests may hold, shared by every listener and event loop.
public protocol HTTPByteBudget: Sendable {
    /// Takes `bytes` out of the budget, or takes nothing and returns false.
    func tryReserve(_ bytes: Int) -> Bool
    /// Gives back what was reserved.
    func release(_ bytes: Int)
    /// Calls `notify` once, from any thread, after bytes have next been released. Spurious calls are harmless.
    func whenAvailable(_ notify: @escaping @Sendable () -> Void)
}
