/// The way back to the client of one request. A value to keep as long as the answer takes; it may cross threads, but it is
/// answered on the service's event loop.
///
/// `@unchecked Sendable`: the slot is touched only in `respond`, which checks that it runs on the slot's event loop.
public struct HTTPExchange: @unchecked Sendable {
    let slot: RequestSlot
    let generation: UInt32

    /// Gives the answer and frees the request's body. Exactly once per request; later calls do nothing. When the client has
    /// gone nothing is sent.
    public func respond(_ response: HTTPResponse) {
        guard slot.generation == generation, slot.isHeldByService, let connection = slot.connection else { return }
        connection.loop.eventLoop.preconditionInEventLoop()
        connection.serviceAnswered(slot, response)
    }

    /// Whether the client still waits for the answer: it has neither gone nor been answered by a timeout. Lets a service
    /// skip work nobody wants.
    public var isWanted: Bool {
        slot.generation == generation && slot.phase == .handling && slot.isStreamOpen
    }
}
