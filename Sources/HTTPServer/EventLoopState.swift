import NIOCore

/// What all connections of one event loop share: the service, pools, the connection list, and the one timer.
///
/// Only ever touched on its event loop; nothing here is locked.
final class EventLoopState {
    /// Slots kept for use again. More than that many requests at a time allocate.
    private static let keptSlotsMax = 1024

    let eventLoop: any EventLoop
    let service: any HTTPService
    let limits: HTTPLimits
    let budget: any HTTPByteBudget
    let metrics: HTTPServerMetrics
    let bodies: BodyBufferPool
    let sessionTemplate: HTTP2SessionTemplate

    /// Nanoseconds of the monotonic clock, refreshed when bytes come in and at each sweep: exact enough for deadlines.
    private(set) var now = NIODeadline.now().uptimeNanoseconds
    @exclusivity(unchecked) private(set) var date = HTTPDate()
    private(set) var isDraining = false
    /// Sum of the slots' `unreservedBytes`.
    var unreservedBytes = 0

    private var connections: ContiguousArray<HTTPConnection> = []
    @exclusivity(unchecked) private var slots: ContiguousArray<RequestSlot> = []
    private var starved: ContiguousArray<HTTPExchange> = []
    private var isBudgetAwaited = false
    private var unflushed: ContiguousArray<HTTPConnection> = []
    @exclusivity(unchecked) private var counters = RequestCounters()
    private var emptied: EventLoopPromise<Void>?

    init(
        eventLoop: any EventLoop, service: any HTTPService, limits: HTTPLimits, budget: any HTTPByteBudget, metrics: HTTPServerMetrics
    ) {
        self.eventLoop = eventLoop
        self.service = service
        self.limits = limits
        self.budget = budget
        self.metrics = metrics
        bodies = BodyBufferPool(keptBytesMax: limits.pooledBodyBytesMax)
        sessionTemplate = HTTP2SessionTemplate(limits)
    }

    func refreshClock() {
        now = NIODeadline.now().uptimeNanoseconds
    }

    func count(_ response: HTTPResponse) {
        counters.count(response, metrics)
    }

    // MARK: Slots

    func takeSlot() -> RequestSlot {
        slots.popLast() ?? RequestSlot()
    }

    func recycle(_ slot: RequestSlot) {
        slot.clear()
        if slots.count < Self.keptSlotsMax { slots.append(slot) }
    }

    // MARK: Connections

    func add(_ connection: HTTPConnection) {
        connection.loopIndex = connections.count
        connections.append(connection)
        metrics.openConnections.add(1)
    }

    func remove(_ connection: HTTPConnection) {
        let last = connections.removeLast()
        if last !== connection {
            connections[connection.loopIndex] = last
            last.loopIndex = connection.loopIndex
        }
        metrics.openConnections.add(-1)
        if connections.isEmpty { emptied?.succeed() }
    }

    /// Lets the connection write at the end of this turn of the event loop, so that answers given one by one (as when a log
    /// sync completes) leave in one write per connection.
    func flushSoon(_ connection: HTTPConnection) {
        if unflushed.isEmpty {
            eventLoop.assumeIsolated().execute { self.flushAll() }
        }
        unflushed.append(connection)
    }

    private func flushAll() {
        let connections = unflushed
        unflushed.removeAll()
        for connection in connections { connection.flushNow() }
    }

    // MARK: Byte budget

    /// Puts a request in the line for the byte budget.
    func awaitBudget(_ slot: RequestSlot) {
        starved.append(HTTPExchange(slot: slot, generation: slot.generation))
        guard !isBudgetAwaited else { return }
        isBudgetAwaited = true
        // The budget may keep the closure for long, and we keep the budget.
        let bound = NIOLoopBound(WeakReference(to: self), eventLoop: eventLoop)
        let eventLoop = self.eventLoop
        budget.whenAvailable { eventLoop.execute { bound.value.state?.budgetAvailable() } }
    }

    private final class WeakReference {
        weak var state: EventLoopState?

        init(to state: EventLoopState) {
            self.state = state
        }
    }

    private func budgetAvailable() {
        isBudgetAwaited = false
        resumeStarved()
    }

    /// Serves the line in its order, up to the first request that still does not fit.
    private func resumeStarved() {
        guard !starved.isEmpty else { return }
        let line = starved
        starved.removeAll(keepingCapacity: true)
        var isExhausted = false
        for entry in line {
            let slot = entry.slot
            guard slot.generation == entry.generation, slot.unreservedBytes > 0, let connection = slot.connection else { continue }
            if !isExhausted && budget.tryReserve(slot.unreservedBytes) {
                connection.budgetGranted(slot)
            } else {
                isExhausted = true
                awaitBudget(slot)
            }
        }
    }

    // MARK: Time

    /// Looks at every deadline. The budget is asked again too: a release between a failed reservation and the request to be
    /// notified is not told.
    func sweep() {
        refreshClock()
        date.refresh()
        resumeStarved()
        for connection in connections { connection.sweep() }
        bodies.trim()
    }

    // MARK: Shutdown

    /// Asks every connection to finish what is under way; done when the last one is closed.
    func drain() -> EventLoopFuture<Void> {
        isDraining = true
        let promise = emptied ?? eventLoop.makePromise(of: Void.self)
        emptied = promise
        if connections.isEmpty { promise.succeed() }
        for connection in connections { connection.drain() }
        return promise.futureResult
    }

    func closeAll() {
        for connection in connections { connection.closeNow() }
    }
}
