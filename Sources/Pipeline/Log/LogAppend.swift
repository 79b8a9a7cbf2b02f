import OTLPWire
import Synchronization

extension WriteAheadLog {
    /// Makes the request durable. From any thread; checksum and fingerprint are computed here, in parallel to other callers.
    ///
    /// - Parameters:
    ///   - request: its payload must stay valid until `completion` is called.
    ///   - completion: called exactly once: from the log's thread, or before this returns. Must not block.
    public func append(_ request: LogRequest, completion: @escaping @Sendable (AppendOutcome) -> Void) {
        if let refusal = currentRefusal { return refuse(refusal, request.signal, completion) }
        var pending = PendingAppend(
            signal: request.signal, name: RecordName(project: request.project, rewrittenBy: request.rewrittenBy).encoded,
            receivedUnixNano: request.receivedUnixNano,
            payload: request.payload, fingerprint: Fingerprint(low: 0, high: 0), checksum: 0, completion: completion)
        // Such a request never fits; the receiver's limits are far below.
        guard request.project.utf8.count <= LogLimits.projectBytesMax, pending.payload.count <= LogLimits.payloadBytesMax else {
            return refuse(.logFull, request.signal, completion)
        }
        pending.name.withUnsafeBytes { name in
            pending.checksum = CRC32C.of(request.payload, seed: CRC32C.of(name))
            // Whoever rewrote it: it is the same request.
            let project = UnsafeRawBufferPointer(rebasing: name[..<request.project.utf8.count])
            pending.fingerprint = Fingerprint(
                signal: request.signal, project: project, payload: request.identity ?? request.payload,
                seed: fingerprintSeed.load(ordering: .relaxed))
        }
        switch enqueue(pending) {
        case .refused(let refusal): refuse(refusal, request.signal, completion)
        case .repeated:
            metrics.repeatedRequests.add()
            completion(.repeated)
        case .waiting: break
        }
    }

    private enum Enqueued {
        case waiting
        case repeated
        case refused(Refusal)
    }

    private func enqueue(_ request: PendingAppend) -> Enqueued {
        lock.withLock {
            if let refusal = currentRefusal { return .refused(refusal) }
            guard state.pending.count < LogLimits.pendingRequestsMax else { return .refused(.logUnavailable) }
            if recognisesRepeats, request.signal != .notes {
                // A repeat of one that is being written shares its fate.
                if state.inFlight[request.fingerprint]?.append(request.completion) != nil { return .waiting }
                if state.fingerprints.contains(request.fingerprint, now: clock.monotonic()) { return .repeated }
                state.inFlight[request.fingerprint] = []
            }
            state.pending.append(request)
            wakeThread()
            return .waiting
        }
    }

    var recognisesRepeats: Bool { settings.dedupWindow > .zero }

    /// A note's loss is for its stage to tell.
    func refuse(_ refusal: Refusal, _ signal: LogSignal, _ completion: @Sendable (AppendOutcome) -> Void) {
        if signal != .notes { metrics.refused.emit(metadata: ["reason": "\(refusal.rawValue)"]) }
        completion(.refused(refusal))
    }

    /// Why requests are refused now, if they are.
    var currentRefusal: Refusal? { LogGate(rawValue: gate.load(ordering: .acquiring))?.refusal }

    /// Only inside the lock: to be called whenever phase or writing have changed.
    func publishGate() {
        let now: LogGate
        switch state.phase {
        case .idle, .opening: now = .unavailable
        case .closing, .ended: now = .shuttingDown
        case .open:
            switch state.writing {
            case .ready: now = .ready
            case .full: now = .full
            case .failing: now = .unavailable
            }
        }
        gate.store(now.rawValue, ordering: .releasing)
    }

    /// Only inside the lock.
    func wakeThread() {
        guard state.isThreadWaiting else { return }
        state.isThreadWaiting = false
        lock.signal()
    }
}

extension WriteAheadLog {
    /// Makes the record this reader's; nil when it was taken already, or is not in the log.
    public func take(_ sequence: UInt64, reader: Int) -> LogHold? {
        let taken: (run: UInt64, log: LogIdentity)? = lock.withLock {
            guard let index = state.segmentIndex(of: sequence) else { return nil }
            let first = state.segments[index].firstSequence
            guard state.segments[index].take(Int(sequence - first), reader: reader) else { return nil }
            return (state.segments[index].run, state.identity)
        }
        return taken.map { LogHold(sequence: sequence, reader: reader, run: $0.run, log: $0.log, owner: self) }
    }

    /// The reader is done with the record. From any thread; no I/O.
    func release(_ sequence: UInt64, reader: Int) {
        lock.withLock {
            guard state.phase != .ended else { return }
            let startsTimer = !state.hasDirtyReleases
            state.release(sequence, reader: reader)
            // Releases themselves wait for the next group or the timer, which a thread that has nothing to do has not set.
            if state.hasRemovable || startsTimer { wakeThread() }
        }
    }

    /// The record is to be found by `next` again.
    func giveBack(_ sequence: UInt64, reader: Int) {
        lock.withLock {
            guard let index = state.segmentIndex(of: sequence) else { return }
            state.segments[index].giveBack(Int(sequence - state.segments[index].firstSequence), reader: reader)
            state.rewinds[reader] = min(state.rewinds[reader] ?? sequence, sequence)
        }
    }
}
