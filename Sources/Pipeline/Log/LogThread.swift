import Glibc
import Logging
import SelfTelemetry

/// What the log's own thread does: open, group commits, change of segments, deletion, releases. Nobody else writes or deletes files.
final class LogThread {
    private enum Work {
        case open
        case commit([PendingAppend])
        case remove
        /// Releases, an overdue sync, another try at what failed.
        case housekeeping
        case finish
    }

    let log: WriteAheadLog
    let writer: LogWriter
    private var lockFile: LogFile?
    private var nextHousekeeping: ContinuousClock.Instant
    /// `sync: interval`: when what is written must be on disk.
    var syncDue: ContinuousClock.Instant?
    /// Files to be removed that could not be.
    var leftovers: [(name: String, bytes: Int)] = []

    init(_ log: WriteAheadLog) {
        self.log = log
        writer = LogWriter(directory: log.settings.directory, files: log.files)
        nextHousekeeping = .now
    }

    func run() {
        while true {
            switch nextWork() {
            case .open: open()
            case .commit(let requests): commit(requests)
            case .remove: removeReleased()
            case .housekeeping: keepHouse()
            case .finish: return finish()
            }
        }
    }

    private func nextWork() -> Work {
        log.lock.withLock {
            while true {
                let now = ContinuousClock.now
                switch log.state.phase {
                case .idle, .ended: return .finish
                case .opening:
                    if now >= nextHousekeeping {
                        nextHousekeeping = now + log.timing.retryInterval
                        return .open
                    }
                case .open, .closing:
                    if log.state.hasRemovable { return .remove }
                    // Before the requests, which under load never end.
                    if now >= nextHousekeeping {
                        nextHousekeeping = now + min(log.timing.releaseInterval, log.timing.retryInterval)
                        return .housekeeping
                    }
                    if let syncDue, now >= syncDue { return .housekeeping }
                    if !log.state.pending.isEmpty { return .commit(takePending()) }
                    if log.state.phase == .closing { return .finish }
                }
                log.state.isThreadWaiting = true
                _ = log.lock.wait(until: deadline)
                log.state.isThreadWaiting = false
            }
        }
    }

    private var deadline: ContinuousClock.Instant? {
        let hasTimer = log.state.phase == .opening || log.state.hasDirtyReleases || log.state.writing != .ready
        switch (hasTimer ? nextHousekeeping : nil, syncDue) {
        case (let housekeeping?, let sync?): return min(housekeeping, sync)
        case (let housekeeping, let sync): return housekeeping ?? sync
        }
    }

    /// One group's worth.
    private func takePending() -> [PendingAppend] {
        var bytes = 0
        var count = 0
        for request in log.state.pending.prefix(LogLimits.groupRequestsMax) {
            bytes += request.recordBytes
            if count > 0, bytes > LogLimits.groupBytesMax { break }
            count += 1
        }
        if count == log.state.pending.count {
            defer { log.state.pending.removeAll(keepingCapacity: true) }
            return log.state.pending
        }
        defer { log.state.pending.removeFirst(count) }
        return Array(log.state.pending.prefix(count))
    }
}

extension LogThread {
    /// One try to open the directory.
    private func open() {
        do {
            let lockFile = try lockDirectory()
            self.lockFile = lockFile
            install(try recover())
        } catch {
            if let lockFile { log.files.close(lockFile) }
            lockFile = nil
            let isNew = log.lock.withLock {
                defer { log.state.openTrouble = error.text }
                return log.state.openTrouble != error.text
            }
            if isNew { log.logger.error("the write-ahead log cannot be opened", metadata: ["reason": "\(error.text)"]) }
        }
    }

    /// Why the log cannot be used, as a sentence.
    private struct OpenFailure: Error {
        var text: String
    }

    private func lockDirectory() throws(OpenFailure) -> LogFile {
        let directory = log.settings.directory
        do {
            try log.files.makeDirectory(directory)
            return try log.files.lock(directory + "/lock")
        } catch {
            if error.code == EWOULDBLOCK { throw OpenFailure(text: "the write-ahead log's directory is used by another process") }
            throw OpenFailure(text: "the write-ahead log's directory cannot be used: \(error)")
        }
    }

    private func recover() throws(OpenFailure) -> RecoveredLog {
        let now = log.clock.monotonic()
        var table = log.withState { $0.fingerprints }
        var recovery = LogRecovery(directory: log.settings.directory, files: log.files, readers: log.readers) { [log] fingerprint, time in
            let accepted = min(now, log.clock.monotonicTime(ofUnixNano: time))
            if !table.contains(fingerprint, now: now) { table.insert(fingerprint, at: accepted, now: now) }
        }
        var recovered: RecoveredLog
        do {
            recovered = try recovery.run()
        } catch {
            switch error {
            case .newerFormat: throw OpenFailure(text: "the write-ahead log was written by a newer version, and is left alone")
            case .io(let error): throw OpenFailure(text: "the write-ahead log cannot be read: \(error)")
            }
        }
        do {
            try makeDurable(&recovered)
        } catch {
            throw OpenFailure(text: "the write-ahead log cannot be synced: \(error)")
        }
        log.lock.withLock {
            log.state.fingerprints = table
            log.state.notes = recovery.notes
        }
        return recovered
    }

    /// What the former process wrote and did not sync counts as accepted from now on, so it has to be on disk. What follows the last
    /// record of a segment, a torn group or room not used, is cut off.
    private func makeDurable(_ recovered: inout RecoveredLog) throws(LogFileError) {
        for index in recovered.segments.indices {
            let segment = recovered.segments[index]
            let file = try log.files.open(log.settings.directory + "/" + segment.name, forWriting: true)
            defer { log.files.close(file) }
            if segment.allocatedBytes > segment.endOffset {
                try log.files.truncate(file, to: segment.endOffset)
                recovered.segments[index].allocatedBytes = segment.endOffset
            }
            try log.files.sync(file)
        }
        for name in recovered.empty { try log.files.remove(log.settings.directory + "/" + name) }
        try log.files.syncDirectory(log.settings.directory)
    }

    private func install(_ recovered: RecoveredLog) {
        report(recovered)
        var random = SystemRandomNumberGenerator()
        let former = recovered.identity ?? LogIdentity(id: random.next(), run: 0)
        let seed = recovered.fingerprintSeed ?? random.next()
        log.fingerprintSeed.store(seed, ordering: .relaxed)
        log.lock.withLock {
            log.state.identity = LogIdentity(id: former.id, run: former.run + 1)
            log.state.fingerprintSeed = seed
            log.state.nextSequence = recovered.nextSequence
            log.state.segments = recovered.segments
            log.state.aborted = recovered.aborted
            log.state.setAsideCount = recovered.setAside.count
            log.state.setAsideBytes = recovered.setAside.reduce(0) { $0 + $1.bytes }
            log.state.noteRemovable()
        }
        _ = changeSegment(forRecordBytes: 0)
        let callbacks = log.lock.withLock {
            log.state.openTrouble = nil
            if log.state.phase == .opening { log.state.phase = .open }
            log.publishGate()
            defer { log.state.whenOpen = [] }
            return log.state.whenOpen
        }
        for callback in callbacks { callback() }
    }

    private func report(_ recovered: RecoveredLog) {
        if let tail = recovered.tornTail {
            log.logger.warning(
                "the write-ahead log ends in a record that was cut off; it was not acknowledged",
                metadata: ["file": "\(tail.name)", "offset": "\(tail.offset)"])
        }
        for file in recovered.setAside {
            log.logger.error(
                "a segment file of the write-ahead log cannot be read and is left alone",
                metadata: ["file": "\(file.name)", "reason": "\(file.reason)"])
        }
        if recovered.corruptRecords > 0 { log.metrics.corrupt.emit(recovered.corruptRecords) }
        if recovered.unknownRecords > 0 { log.metrics.unknown.emit(recovered.unknownRecords) }
        if recovered.orphanedRecords > 0 { log.metrics.orphaned.emit(recovered.orphanedRecords) }
        let records = recovered.segments.reduce(0) { $0 + $1.count }
        log.logger.info(
            "write-ahead log opened", metadata: ["segments": "\(recovered.segments.count)", "records": "\(records)"])
    }

    /// After `close`: everything that was appended is written.
    private func finish() {
        let wasOpen = log.lock.withLock { log.state.phase == .closing && log.state.identity.run > 0 }
        if wasOpen {
            removeReleased()
            writeReleases()
            attempt { () throws(LogFileError) in try writer.sync() }
            sealSegment()
        }
        let (requests, repeats, callbacks) = log.lock.withLock {
            log.state.phase = .ended
            log.publishGate()
            defer {
                log.state.pending = []
                log.state.whenOpen = []
            }
            return (log.state.pending, takeRepeats(of: log.state.pending), log.state.whenOpen)
        }
        for request in requests { log.refuse(.shuttingDown, request.signal, request.completion) }
        for completion in repeats { log.refuse(.shuttingDown, .traces, completion) }
        _ = callbacks
        if let lockFile { log.files.close(lockFile) }
        lockFile = nil
    }
}
