import Glibc
import OTLPWire

extension WriteAheadLog {
    /// A record to be read, and where to look for it.
    private struct Target {
        var sequence: UInt64
        var segment: (name: String, firstSequence: UInt64, nonce: UInt64)
        var searchOffset: Int
        var endOffset: Int
        var run: UInt64
        var log: LogIdentity
    }

    /// The next durable record at or after the cursor that this reader has not taken, taken now; also one before it that was given back.
    /// Nil when there is none at this moment. Reads files, so it may block; one thread per reader.
    public func next(_ cursor: inout LogCursor, reader: Int) -> LoggedRequest? {
        while let target = takeNext(&cursor, reader: reader) {
            let hold = LogHold(sequence: target.sequence, reader: reader, run: target.run, log: target.log, owner: self)
            do {
                guard let request = try read(target, &cursor, hold) else {
                    // Released as the hold goes away: there is nothing to be read any more.
                    metrics.corrupt.emit(metadata: ["file": "\(target.segment.name)"])
                    continue
                }
                if target.run != target.log.run { metrics.replayedRequests.add() }
                return request
            } catch {
                hold.keep()
                cursor.reader = nil
                metrics.readFailed.emit(metadata: ["file": "\(target.segment.name)", "reason": "\(error)"])
            }
        }
        return nil
    }

    private func takeNext(_ cursor: inout LogCursor, reader: Int) -> Target? {
        lock.withLock {
            if let rewind = state.rewinds[reader] {
                cursor.sequence = min(cursor.sequence, rewind)
                state.rewinds[reader] = nil
            }
            var index = state.segments.firstIndex { $0.endSequence > cursor.sequence } ?? state.segments.count
            while index < state.segments.count {
                let first = state.segments[index].firstSequence
                let from = Int(max(cursor.sequence, first) - first)
                if let found = state.segments[index].firstUntaken(from: from, reader: reader) {
                    _ = state.segments[index].take(found, reader: reader)
                    cursor.sequence = first + UInt64(found) + 1
                    return target(state.segments[index], found, cursor)
                }
                index += 1
            }
            return nil
        }
    }

    private func target(_ segment: SegmentLedger, _ index: Int, _ cursor: LogCursor) -> Target {
        let sequence = segment.firstSequence + UInt64(index)
        let waypoint = segment.waypoint(for: index)
        var offset = waypoint.offset
        // Nearer, when the cursor is on its way through this segment.
        if cursor.reader?.firstSequence == segment.firstSequence, cursor.nextSequence <= sequence,
            cursor.nextSequence >= segment.firstSequence + UInt64(waypoint.index)
        {
            offset = max(offset, cursor.nextOffset)
        }
        return Target(
            sequence: sequence, segment: (segment.name, segment.firstSequence, segment.nonce), searchOffset: offset,
            endOffset: segment.endOffset, run: segment.run, log: state.identity)
    }

    /// Nil when the record is not there, or damaged.
    private func read(_ target: Target, _ cursor: inout LogCursor, _ hold: LogHold) throws(LogFileError) -> LoggedRequest? {
        let segment = try segmentReader(target, &cursor)
        var offset = target.searchOffset
        while true {
            guard let header = try segment.record(at: offset, end: target.endOffset) else {
                guard let found = try segment.nextRecord(from: offset + LogFormat.alignment, end: target.endOffset) else { return nil }
                offset = found
                continue
            }
            let isRequest = header.kind == RecordHeader.Kind.request.rawValue
            if isRequest, header.sequence > target.sequence { return nil }
            guard isRequest, header.sequence == target.sequence else {
                offset += header.totalBytes
                continue
            }
            cursor.nextOffset = offset + header.totalBytes
            cursor.nextSequence = target.sequence + 1
            guard let body = try segment.body(header, at: offset), let signal = LogSignal(rawValue: header.signal) else { return nil }
            return LoggedRequest(
                sequence: target.sequence, receivedUnixNano: header.receivedUnixNano, signal: signal,
                projectBytes: Int(header.projectBytes), buffer: body, hold: hold)
        }
    }

    private func segmentReader(_ target: Target, _ cursor: inout LogCursor) throws(LogFileError) -> SegmentReader {
        if let reader = cursor.reader, reader.firstSequence == target.segment.firstSequence { return reader }
        let file = try files.open(settings.directory + "/" + target.segment.name, forWriting: false)
        let made = SegmentReader(file: file, files: files, firstSequence: target.segment.firstSequence, nonce: target.segment.nonce)
        guard let reader = made else { throw LogFileError(ENOMEM, "malloc") }
        cursor.reader = reader
        return reader
    }
}
