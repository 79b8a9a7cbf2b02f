import NIOCore

/// The life of one request, the same for both protocols. A protocol tells `headComplete`, `bodyBytes`, `bodyComplete` and
/// `streamEnded`; it is told `send`, `credit`, `starvationEnded` and `abort`.
///
/// Byte budget: bytes are reserved as they come. Those that do not fit stay with the request, `unreserved`, and are not
/// credited to the client; the request waits in the event loop's line until `budgetGranted`, or `admissionWait` is over.
extension HTTPConnection {
    func openSlot() -> RequestSlot {
        let slot = loop.takeSlot()
        slot.open(self, now: loop.now)
        slot.index = slots.count
        slots.append(slot)
        return slot
    }

    // MARK: What comes in

    /// The head is whole and acceptable to the protocol.
    func headComplete(_ slot: RequestSlot) {
        enter(.receiving, slot)
        switch loop.service.begin(slot.header.head(version, self)) {
        case .respond(let response):
            answer(slot, response)
        case .receive(let tag, let bodyBytesMax, let timeout):
            slot.tag = tag
            slot.bodyBytesMax = bodyBytesMax
            if let timeout { slot.deadline = loop.now + UInt64(max(0, timeout.nanoseconds)) }
            guard let length = slot.contentLength, length > 0 else { return }
            if length > bodyBytesMax { return fail(slot, .bodyTooLarge, .bodyBytes) }
            loop.bodies.reserve(length, in: &slot.body)
        }
    }

    func bodyBytes(_ slot: RequestSlot, _ bytes: UnsafeRawBufferPointer) {
        guard slot.phase == .receiving else { return credit(slot, bytes.count) }
        guard bytes.count <= slot.bodyBytesMax - slot.body.count else {
            credit(slot, bytes.count)
            return fail(slot, .bodyTooLarge, .bodyBytes)
        }
        loop.bodies.append(bytes, to: &slot.body)
        if slot.unreservedBytes == 0 && loop.budget.tryReserve(bytes.count) {
            slot.reservedBytes += bytes.count
            return credit(slot, bytes.count)
        }
        if slot.unreservedBytes == 0 {
            slot.starvedSince = loop.now
            loop.awaitBudget(slot)
        }
        slot.unreservedBytes += bytes.count
        loop.unreservedBytes += bytes.count
        if loop.unreservedBytes > loop.limits.unreservedBytesMax { fail(slot, .overloaded, .byteBudget) }
    }

    /// The request has come in whole.
    func bodyComplete(_ slot: RequestSlot) {
        slot.isInputComplete = true
        guard slot.phase == .receiving else { return }
        if slot.unreservedBytes == 0 { deliver(slot) } else { enter(.waiting, slot) }
    }

    /// The line for the budget has come to this request; its bytes are reserved.
    func budgetGranted(_ slot: RequestSlot) {
        let bytes = slot.unreservedBytes
        loop.unreservedBytes -= bytes
        slot.unreservedBytes = 0
        slot.reservedBytes += bytes
        credit(slot, bytes)
        starvationEnded(slot)
        if slot.phase == .waiting { deliver(slot) }
    }

    private func deliver(_ slot: RequestSlot) {
        enter(.handling, slot)
        slot.isHeldByService = true
        let request = HTTPRequest(head: slot.header.head(version, self), body: slot.body.bytes, tag: slot.tag)
        loop.service.handle(request, HTTPExchange(slot: slot, generation: slot.generation))
    }

    // MARK: What goes out

    /// The service gave its answer, perhaps to nobody.
    func serviceAnswered(_ slot: RequestSlot, _ response: HTTPResponse) {
        slot.isHeldByService = false
        releaseBody(slot)
        if slot.isStreamOpen {
            if slot.phase == .handling { answer(slot, response) }
        } else {
            abandonedRequests -= 1
            loop.recycle(slot)
        }
    }

    func answer(_ slot: RequestSlot, _ response: HTTPResponse) {
        precondition(slot.phase != .answered && slot.isStreamOpen, "a request is answered once")
        enter(.answered, slot)
        if !slot.isHeldByService { releaseBody(slot) }
        loop.count(response)
        send(response, for: slot)
    }

    /// Answers in the service's words.
    func fail(_ slot: RequestSlot, _ reason: HTTPFailure, _ limit: HTTPLimit) {
        hitLimit(limit)
        answer(slot, loop.service.failure(reason, tag: slot.tag, head: slot.header.head(version, self)))
    }

    /// The client is answered or gone. The slot is free unless the service holds it.
    func streamEnded(_ slot: RequestSlot) {
        precondition(slot.isStreamOpen, "a stream ends once")
        slot.isStreamOpen = false
        let last = slots.removeLast()
        if last !== slot {
            slots[slot.index] = last
            last.index = slot.index
        }
        quietSince = loop.now
        if slot.isHeldByService {
            abandonedRequests += 1
        } else {
            releaseBody(slot)
            loop.recycle(slot)
        }
    }

    private func releaseBody(_ slot: RequestSlot) {
        loop.bodies.recycle(&slot.body)
        if slot.reservedBytes > 0 {
            loop.budget.release(slot.reservedBytes)
            slot.reservedBytes = 0
        }
        if slot.unreservedBytes > 0 {
            let bytes = slot.unreservedBytes
            loop.unreservedBytes -= bytes
            slot.unreservedBytes = 0
            credit(slot, bytes)
            starvationEnded(slot)
        }
    }

    private func enter(_ phase: RequestSlot.Phase, _ slot: RequestSlot) {
        slot.phase = phase
        slot.phaseSince = loop.now
    }

    // MARK: Time

    func sweep(_ slot: RequestSlot) {
        let limits = loop.limits
        switch slot.phase {
        case .free:
            break
        case .head:
            guard isPast(slot.phaseSince, limits.headerTimeout) else { return }
            hitLimit(.headerTimeout)
            abort(slot)
        case .receiving, .waiting:
            if loop.now >= slot.deadline {
                fail(slot, .timeout, .requestTimeout)
            } else if slot.unreservedBytes > 0 {
                if isPast(slot.starvedSince, limits.admissionWait) { fail(slot, .overloaded, .byteBudget) }
            } else if isPast(slot.phaseSince, bodyTime(slot)) {
                fail(slot, .bodyTooSlow, .bodyRate)
            }
        case .handling:
            if loop.now >= slot.deadline { fail(slot, .timeout, .requestTimeout) }
        case .answered:
            guard isPast(slot.phaseSince, limits.writeStallTimeout) else { return }
            hitLimit(.writeStall)
            abort(slot)
        }
    }

    /// How long a body may take, given what has come of it.
    private func bodyTime(_ slot: RequestSlot) -> TimeAmount {
        loop.limits.bodyTimeout + .seconds(Int64(slot.body.count / max(1, loop.limits.bodyBytesPerSecondMin)))
    }
}
