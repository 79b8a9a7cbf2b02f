import Glibc
import Logging
import SelfTelemetry

extension LogThread {
    /// Writes a group, in as many parts as segments are needed for it.
    func commit(_ group: [PendingAppend]) {
        var rest = group[...]
        while let first = rest.first {
            if writer.requestRoom < first.recordBytes {
                switch changeSegment(forRecordBytes: first.recordBytes) {
                case .ready where writer.requestRoom >= first.recordBytes: break
                case .ready, .tooLarge:
                    refuse(rest.prefix(1), .logFull)
                    rest = rest.dropFirst()
                    continue
                case .full: return refuse(rest, .logFull)
                case .failing: return refuse(rest, .logUnavailable)
                }
            }
            var room = writer.requestRoom
            let part = rest.prefix { request in
                room -= request.recordBytes
                return room >= 0
            }
            guard write(part) else { return refuse(rest, .logUnavailable) }
            rest = rest[part.endIndex...]
        }
    }

    /// One group commit. False when it failed: the segment is given up, the requests are to be refused.
    private func write(_ part: ArraySlice<PendingAppend>) -> Bool {
        let sequence = log.withState { $0.nextSequence }
        let start = ContinuousClock.now
        do {
            let offsets = try writer.write(part, firstSequence: sequence)
            switch log.settings.sync {
            case .always: try writer.sync()
            case .interval(let interval): syncDue = syncDue ?? start + interval
            }
            log.metrics.syncSeconds.observe((ContinuousClock.now - start) / .seconds(1))
            accept(part, sequence, offsets)
            return true
        } catch {
            fail(error, written: part.count)
            return false
        }
    }

    /// The part is durable: it can be taken and read from now on.
    private func accept(_ part: ArraySlice<PendingAppend>, _ firstSequence: UInt64, _ offsets: [Int]) {
        let now = log.clock.monotonic()
        let repeats: [(LogState.Completion)] = log.lock.withLock {
            let last = log.state.segments.count - 1
            var repeats: [LogState.Completion] = []
            for (request, offset) in zip(part, offsets) {
                guard request.signal != .notes else {
                    log.state.segments[last].appendDead(1, offset: offset, isPersistent: true)
                    continue
                }
                log.state.segments[last].append(offset: offset)
                guard log.recognisesRepeats else { continue }
                log.state.fingerprints.insert(request.fingerprint, at: now, now: now)
                repeats += log.state.inFlight.removeValue(forKey: request.fingerprint) ?? []
            }
            log.state.segments[last].endOffset = writer.segment?.offset ?? 0
            log.state.nextSequence += UInt64(part.count)
            return repeats
        }
        log.metrics.syncs.add()
        let requests = part.lazy.filter { $0.signal != .notes }
        log.metrics.appendedRequests.add(requests.count)
        log.metrics.appendedBytes.add(requests.reduce(0) { $0 + $1.payload.count })
        for (index, request) in part.enumerated() { request.completion(.durable(sequence: firstSequence + UInt64(index))) }
        log.metrics.repeatedRequests.add(repeats.count)
        for completion in repeats { completion(.repeated) }
    }

    private func refuse(_ requests: ArraySlice<PendingAppend>, _ refusal: Refusal) {
        let repeats = log.lock.withLock { takeRepeats(of: requests) }
        for request in requests { log.refuse(refusal, request.signal, request.completion) }
        for completion in repeats { log.refuse(refusal, .traces, completion) }
    }

    /// Only inside the lock. The completions of the requests' repeats; their fingerprints are forgotten.
    func takeRepeats(of requests: some Collection<PendingAppend>) -> [LogState.Completion] {
        requests.flatMap { log.state.inFlight.removeValue(forKey: $0.fingerprint) ?? [] }
    }

    /// A write or sync has failed: what of it is on disk is unknown, so the segment is given up and its last requests are aborted.
    func fail(_ error: LogFileError, written: Int) {
        log.lock.withLock { log.state.abort(written) }
        sealSegment()
        fail(error)
    }

    /// The log cannot be written; tried again by `keepHouse`.
    private func fail(_ error: LogFileError) {
        log.lock.withLock {
            log.state.writing = .failing
            log.state.writeTrouble = "the write-ahead log cannot be written: \(error)"
            log.publishGate()
        }
        log.metrics.syncFailed.emit(metadata: ["reason": "\(error)"])
    }

    func attempt(_ body: () throws(LogFileError) -> Void) {
        do { try body() } catch { fail(error, written: 0) }
    }

    /// Ends the segment that is written, giving back what it has not used.
    func sealSegment() {
        guard writer.segment != nil else { return }
        let bytes = writer.seal()
        log.lock.withLock {
            let last = log.state.segments.count - 1
            log.state.segments[last].allocatedBytes = bytes
            log.state.segments[last].isSealed = true
            log.state.noteRemovable()
        }
    }
}

extension LogThread {
    enum Change {
        case ready
        case full
        case failing
        /// The record is larger than what the log may still take, although ordinary ones fit.
        case tooLarge
    }

    /// Goes on in a new segment that has room for the record.
    func changeSegment(forRecordBytes recordBytes: Int) -> Change {
        let unused = writer.segment.map { $0.bytes - $0.offset } ?? 0
        let room = log.settings.maxSizeBytes - log.withState { $0.allocatedBytes } + unused
        guard segmentBytes(forRecordBytes: recordBytes, room: room) != nil else {
            return log.settings.segmentBytes / 2 <= room ? .tooLarge : becomeFull()
        }
        attempt { () throws(LogFileError) in try writer.sync() }
        syncDue = nil
        sealSegment()
        // All of them have to be in the new segment. So many failures without a deletion in between do not happen to a working disk.
        guard log.withState({ $0.aborted.count <= LogLimits.abortedRangesMax }) else {
            fail(LogFileError(EIO, "too many failed writes"))
            return .failing
        }
        // The old segment may not have given back what it had not used.
        let left = log.settings.maxSizeBytes - log.withState { $0.allocatedBytes }
        guard let bytes = segmentBytes(forRecordBytes: recordBytes, room: left) else { return becomeFull() }
        do {
            try beginSegment(bytes)
            return .ready
        } catch {
            if let left = writer.discard() { leftovers.append(left) }
            log.lock.withLock {
                log.state.leftoverBytes = leftovers.reduce(0) { $0 + $1.bytes }
                log.state.abort(0)
            }
            fail(error)
            return .failing
        }
    }

    /// Size of the next segment: the usual one; more for a record that is too large for that; down to half of it when there is no
    /// more room. Nil when that is not enough.
    private func segmentBytes(forRecordBytes recordBytes: Int, room: Int) -> Int? {
        let usual = log.settings.segmentBytes
        let overhead = LogFormat.recordsStart + usual / LogLimits.fingerprintFraction + usual / LogLimits.releaseReserveFraction * 4
        let needed = recordBytes + overhead
        if needed > usual {
            let large = LogFormat.aligned(needed * 33 / 32)
            return large <= room ? large : nil
        }
        if usual <= room { return usual }
        return room >= max(needed, usual / 2) ? room & ~(LogFormat.alignment - 1) : nil
    }

    private func becomeFull() -> Change {
        let isNew = log.lock.withLock {
            defer {
                log.state.writing = .full
                log.publishGate()
            }
            return log.state.writing != .full
        }
        if isNew { log.logger.warning("the write-ahead log is full: requests are refused until exporters catch up") }
        return .full
    }

    /// Makes the segment and begins it with what must outlive older ones; returns when all that is durable.
    private func beginSegment(_ bytes: Int) throws(LogFileError) {
        var random = SystemRandomNumberGenerator()
        let (header, aborted, fingerprints) = log.lock.withLock {
            let header = SegmentHeader(
                directoryID: log.state.identity.id, run: log.state.identity.run, firstSequence: log.state.nextSequence,
                createdUnixNano: log.clock.wall(), nonce: random.next(), fingerprintSeed: log.state.fingerprintSeed, readers: log.readers)
            return (header, log.state.aborted, log.state.fingerprints)
        }
        // Synced before anything follows: a file without a valid header never held a record, unless it was damaged.
        try writer.begin(header, bytes: bytes)
        try writer.sync()
        if !aborted.isEmpty {
            var body: [UInt8] = []
            AbortedRanges.encode(aborted, to: &body)
            try writer.write(.aborted, body: body, sequence: header.firstSequence)
        }
        if log.recognisesRepeats { try write(fingerprints, sequence: header.firstSequence) }
        try writer.sync()
        try writer.syncDirectory()
        let wasFailing = log.lock.withLock {
            var ledger = SegmentLedger(
                name: LogFormat.fileName(firstSequence: header.firstSequence), header: header, readerCount: log.readers.count,
                allocatedBytes: bytes)
            ledger.endOffset = writer.segment?.offset ?? 0
            log.state.segments.append(ledger)
            log.state.noteRemovable()
            defer {
                log.state.writing = .ready
                log.state.writeTrouble = nil
                log.publishGate()
            }
            return log.state.writeTrouble != nil
        }
        if wasFailing { log.logger.info("the write-ahead log is written again") }
    }

    private func write(_ fingerprints: FingerprintTable, sequence: UInt64) throws(LogFileError) {
        try fingerprints.forEachBlock(of: FingerprintBlock.capacity) { (newest, block) throws(LogFileError) in
            var body: [UInt8] = []
            body.reserveCapacity(LogLimits.controlBytesMax)
            FingerprintBlock(newestUnixNano: log.clock.unixNano(ofMonotonic: newest), fingerprints: block).encode(to: &body)
            try writer.write(.fingerprints, body: body, sequence: sequence)
        }
    }

    /// Deletes segments that all readers are done with, from the oldest on.
    func removeReleased() {
        while true {
            let name: String? = log.lock.withLock {
                // The next segment holds this one's fingerprints. When there is none, it is made first, unless this one takes its room.
                let needed = log.state.allocatedBytes - log.state.leftoverBytes + log.settings.segmentBytes / 2
                let mayDelete = log.state.segments.count > 1 || log.state.writing == .full && needed > log.settings.maxSizeBytes
                guard mayDelete, let first = log.state.segments.first, first.isSealed, first.isReleased else {
                    log.state.hasRemovable = false
                    return nil
                }
                return first.name
            }
            guard let name else { break }
            do {
                try log.files.remove(log.settings.directory + "/" + name)
            } catch {
                // Nothing younger goes either: it holds the releases of this one. Tried again by `keepHouse`.
                log.metrics.syncFailed.emit(metadata: ["reason": "\(error)"])
                log.lock.withLock { log.state.hasRemovable = false }
                return
            }
            log.lock.withLock {
                log.state.segments.removeFirst()
                let first = log.state.segments.first?.firstSequence ?? .max
                log.state.aborted.removeAll { $0.upperBound <= first }
            }
            if log.withState({ $0.writing == .full }) { _ = changeSegment(forRecordBytes: 0) }
        }
    }

    /// Once a second: releases are written, what failed is tried again.
    func keepHouse() {
        if let due = syncDue, ContinuousClock.now >= due {
            syncDue = nil
            attempt { () throws(LogFileError) in try writer.sync() }
        }
        removeLeftovers()
        log.lock.withLock { log.state.noteRemovable() }
        switch log.withState({ $0.writing }) {
        case .ready: writeReleases()
        case .full:
            writeReleases()
            // A full log of released records alone is one segment that is too large: it ends here.
            if log.withState({ $0.segments.allSatisfy(\.isReleased) }) { sealSegment() }
            _ = changeSegment(forRecordBytes: 0)
        case .failing: _ = changeSegment(forRecordBytes: 0)
        }
    }

    /// Files of segments that could not be made, and not be removed at once either.
    private func removeLeftovers() {
        guard !leftovers.isEmpty else { return }
        leftovers.removeAll { left in
            do {
                try log.files.remove(log.settings.directory + "/" + left.name)
                return true
            } catch {
                return false
            }
        }
        log.lock.withLock { log.state.leftoverBytes = leftovers.reduce(0) { $0 + $1.bytes } }
    }

    /// Writes the releases that are not in the log yet, as far as the segment has room.
    func writeReleases() {
        guard writer.segment != nil else { return }
        while log.withState({ $0.hasDirtyReleases }) {
            if writer.controlRoom < LogLimits.releaseRoomMin {
                // Without room for another segment they stay in memory.
                guard log.withState({ $0.writing == .ready }), changeSegment(forRecordBytes: 0) == .ready else { return }
            }
            let room = min(LogLimits.controlBytesMax, writer.controlRoom - RecordHeader.totalBytes(body: 8))
            let (entries, sequence) = log.lock.withLock { (takeDirtyReleases(bytes: room), log.state.nextSequence) }
            guard !entries.isEmpty else { return }
            var body: [UInt8] = []
            for (_, entry) in entries { entry.encode(to: &body) }
            do {
                try writer.write(.releases, body: body, sequence: sequence)
            } catch {
                log.lock.withLock { restoreDirty(entries) }
                return fail(error, written: 0)
            }
            log.lock.withLock {
                let last = log.state.segments.count - 1
                log.state.segments[last].endOffset = writer.segment?.offset ?? 0
            }
        }
    }

    /// Only inside the lock. Unwritten releases, oldest segments first, as many as fit into a record's body.
    private func takeDirtyReleases(bytes: Int) -> [(reader: Int, entry: ReleaseEntry)] {
        guard log.state.hasDirtyReleases else { return [] }
        var entries: [(reader: Int, entry: ReleaseEntry)] = []
        var left = bytes
        for segment in log.state.segments.indices where log.state.segments[segment].hasDirtyReleases {
            for (reader, name) in log.readers.enumerated() {
                let wordsMax = (left - ReleaseEntry.encodedBytes(reader: name, words: 0)) / 8
                guard let entry = log.state.segments[segment].takeDirtyReleases(reader: reader, name: name, wordsMax: wordsMax) else {
                    continue
                }
                left -= ReleaseEntry.encodedBytes(reader: name, words: entry.words.count)
                entries.append((reader, entry))
            }
        }
        if entries.isEmpty {
            log.state.hasDirtyReleases = log.state.segments.contains(where: \.hasDirtyReleases)
        }
        return entries
    }

    /// Only inside the lock.
    private func restoreDirty(_ entries: [(reader: Int, entry: ReleaseEntry)]) {
        log.state.hasDirtyReleases = true
        for (reader, entry) in entries {
            guard let index = log.state.segments.firstIndex(where: { $0.firstSequence == entry.segment }) else { continue }
            log.state.segments[index].markDirty(entry, reader: reader)
        }
    }
}
