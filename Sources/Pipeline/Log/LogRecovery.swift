import Glibc

/// What the files of a log directory amount to when it is opened.
struct RecoveredLog {
    var identity: LogIdentity?
    var fingerprintSeed: UInt64?
    var segments: [SegmentLedger] = []
    /// Above everything seen.
    var nextSequence: UInt64 = 1
    /// Requests refused after all, of segments that still exist.
    var aborted: [Range<UInt64>] = []
    /// Files that could not be read; left alone.
    var setAside: [(name: String, bytes: Int, reason: String)] = []
    /// Files without a record; of no use.
    var empty: [String] = []
    /// Requests that are damaged: an acknowledged one may be among them.
    var corruptRecords = 0
    var unknownRecords = 0
    /// Requests nobody will read because their pipelines are no longer configured.
    var orphanedRecords = 0
    /// The last segment ends in a group that a crash cut off.
    var tornTail: (name: String, offset: Int)?
}

/// Reads a log directory: which requests there are, which of them each pipeline is done with, which fingerprints are known. Changes
/// nothing. Works on any bytes.
struct LogRecovery {
    enum Failure: Error, Equatable {
        case newerFormat
        case io(LogFileError)
    }

    let directory: String
    let files: any LogFiles
    /// Configured now; index = reader number.
    let readers: [String]
    /// Called with each fingerprint of an accepted request, oldest first, and when it was accepted at the latest.
    let addFingerprint: (Fingerprint, _ unixNano: UInt64) -> Void
    /// What stages have written down, oldest first.
    private(set) var notes: [String: [[UInt8]]] = [:]

    private struct Candidate {
        var name: String
        var header: SegmentHeader
        var file: LogFile
        var bytes: Int
        var released: [String: RecordBits] = [:]
    }

    private var log = RecoveredLog()

    init(directory: String, files: any LogFiles, readers: [String], addFingerprint: @escaping (Fingerprint, UInt64) -> Void) {
        self.directory = directory
        self.files = files
        self.readers = readers
        self.addFingerprint = addFingerprint
    }

    mutating func run() throws(Failure) -> RecoveredLog {
        let names: [String]
        do { names = try files.list(directory) } catch { throw .io(error) }
        var candidates: [Candidate] = []
        defer { for candidate in candidates { files.close(candidate.file) } }
        for name in names.filter({ LogFormat.firstSequence(ofFile: $0) != nil }).sorted() {
            // No name is used twice, whatever is in the file.
            if let first = LogFormat.firstSequence(ofFile: name) { log.nextSequence = max(log.nextSequence, first + 1) }
            if let candidate = try examine(name) { candidates.append(candidate) }
        }
        takeNewestDirectory(&candidates)
        var ledgers: [SegmentLedger?] = []
        for index in candidates.indices {
            let limit = index + 1 < candidates.count ? candidates[index + 1].header.firstSequence : .max
            do {
                ledgers.append(try scan(index, &candidates, sequenceLimit: limit))
            } catch {
                log.setAside.append((candidates[index].name, candidates[index].bytes, "\(error)"))
                ledgers.append(nil)
            }
        }
        for (candidate, ledger) in zip(candidates, ledgers) {
            guard var ledger else { continue }
            restore(&ledger, candidate)
            log.segments.append(ledger)
        }
        let first = log.segments.first?.firstSequence ?? .max
        log.aborted.removeAll { $0.upperBound <= first }
        return log
    }

    /// Opens the file and reads its header; nil for one that is no segment to read.
    private mutating func examine(_ name: String) throws(Failure) -> Candidate? {
        do {
            let file = try files.open(directory + "/" + name, forWriting: false)
            var isKept = false
            defer { if !isKept { files.close(file) } }
            let bytes = try files.size(file)
            let header: SegmentHeader
            switch try SegmentReader.header(of: file, files: files) {
            case .success(let read): header = read
            case .failure(.newerVersion): throw Failure.newerFormat
            case .failure(.damaged):
                if try isWithoutRecords(file, bytes) {
                    log.empty.append(name)
                } else {
                    log.setAside.append((name, bytes, "no valid header"))
                }
                return nil
            }
            guard header.firstSequence == LogFormat.firstSequence(ofFile: name) else {
                log.setAside.append((name, bytes, "its name and header disagree"))
                return nil
            }
            isKept = true
            return Candidate(name: name, header: header, file: file, bytes: bytes)
        } catch let error as LogFileError {
            if error.code != ENOENT { log.setAside.append((name, 0, "\(error)")) }
            return nil
        } catch let failure as Failure {
            throw failure
        } catch {
            return nil
        }
    }

    /// A file whose making was cut off: nothing was ever written after its header.
    private func isWithoutRecords(_ file: LogFile, _ bytes: Int) throws(LogFileError) -> Bool {
        guard let reader = SegmentReader(file: file, files: files, firstSequence: 0, nonce: 0, ownsFile: false) else {
            throw LogFileError(ENOMEM, "malloc")
        }
        return try reader.firstNonZero(from: LogFormat.recordsStart, end: bytes) == nil
    }

    /// Segments of one directory belong together; others were copied here and are left alone.
    private mutating func takeNewestDirectory(_ candidates: inout [Candidate]) {
        guard let newest = candidates.last?.header else { return }
        for candidate in candidates where candidate.header.directoryID != newest.directoryID {
            log.setAside.append((candidate.name, candidate.bytes, "belongs to another log"))
            files.close(candidate.file)
        }
        candidates.removeAll { $0.header.directoryID != newest.directoryID }
        log.identity = LogIdentity(id: newest.directoryID, run: candidates.map(\.header.run).max() ?? newest.run)
        log.fingerprintSeed = newest.fingerprintSeed
        for candidate in candidates { readAborted(candidate) }
    }

    /// The abort record stands before all others, so that it is known before the segments it speaks of are read.
    private mutating func readAborted(_ candidate: Candidate) {
        guard let reader = reader(candidate),
            let header = try? reader.record(at: LogFormat.recordsStart, end: candidate.bytes),
            header.kind == RecordHeader.Kind.aborted.rawValue, header.bodyBytes <= LogLimits.controlBytesMax,
            let body = try? reader.body(header, at: LogFormat.recordsStart)
        else { return }
        for range in AbortedRanges.decode(UnsafeRawBufferPointer(body.bytes)) where !log.aborted.contains(range) {
            log.aborted.append(range)
        }
    }

    private func reader(_ candidate: Candidate) -> SegmentReader? {
        SegmentReader(
            file: candidate.file, files: files, firstSequence: candidate.header.firstSequence, nonce: candidate.header.nonce,
            ownsFile: false)
    }
}

extension LogRecovery {
    private mutating func scan(
        _ index: Int, _ candidates: inout [Candidate], sequenceLimit: UInt64
    ) throws(LogFileError) -> SegmentLedger {
        let candidate = candidates[index]
        guard let reader = reader(candidate) else { throw LogFileError(ENOMEM, "malloc") }
        let isLast = index == candidates.count - 1
        var ledger = SegmentLedger(
            name: candidate.name, header: candidate.header, readerCount: readers.count, allocatedBytes: candidate.bytes)
        ledger.isSealed = true
        var scanner = SegmentScanner(reader: reader, end: candidate.bytes, sequenceLimit: sequenceLimit)
        ledger.endOffset = scanner.offset
        // A damaged record counts only once another follows it: at the end of the log it is a torn one.
        var suspects = 0
        while let step = try scanner.next() {
            log.corruptRecords += suspects
            suspects = 0
            switch step {
            case .damage: suspects = 1
            case .record(let header, let offset, let isWhole):
                switch RecordHeader.Kind(rawValue: header.kind) {
                case .request:
                    let missing = Int(header.sequence - ledger.endSequence)
                    log.corruptRecords += max(0, missing - 1)
                    note(header, offset, isWhole, &ledger, missing: missing)
                    if isWhole { try keepNote(header, offset, reader) } else { suspects = 1 }
                case .releases, .fingerprints:
                    if isWhole { try read(header, offset, reader, &candidates) } else { suspects = 1 }
                case .aborted: break
                case nil: log.unknownRecords += 1
                }
                if isWhole { ledger.endOffset = scanner.offset }
            }
        }
        if try scanner.hasTail() { suspects += 1 }
        if suspects > 0 {
            if isLast {
                log.tornTail = (candidate.name, ledger.endOffset)
            } else if !log.aborted.contains(where: { ledger.firstSequence < $0.upperBound && $0.lowerBound < sequenceLimit }) {
                log.corruptRecords += suspects
            }
        }
        return ledger
    }

    private mutating func note(
        _ header: RecordHeader, _ offset: Int, _ isWhole: Bool, _ ledger: inout SegmentLedger, missing: Int
    ) {
        ledger.appendDead(missing, offset: offset, isPersistent: true)
        log.nextSequence = max(log.nextSequence, header.sequence + 1)
        let isKnown = LogSignal(rawValue: header.signal) != nil && header.encoding == RecordHeader.encodingProtobuf
        if isWhole, !isKnown { log.unknownRecords += 1 }
        let isNote = header.signal == LogSignal.notes.rawValue
        guard isWhole, isKnown, !isNote, !log.aborted.contains(where: { $0.contains(header.sequence) }) else {
            ledger.appendDead(1, offset: offset, isPersistent: true)
            return
        }
        ledger.append(offset: offset)
        addFingerprint(header.fingerprint, header.receivedUnixNano)
    }

    private mutating func keepNote(_ header: RecordHeader, _ offset: Int, _ reader: SegmentReader) throws(LogFileError) {
        guard header.signal == LogSignal.notes.rawValue, header.projectBytes <= header.bodyBytes,
            !log.aborted.contains(where: { $0.contains(header.sequence) }), let body = try reader.body(header, at: offset)
        else { return }
        let topicEnd = Int(header.projectBytes)
        notes[String(decoding: body.bytes[..<topicEnd], as: UTF8.self), default: []].append(Array(body.bytes[topicEnd..<header.bodyBytes]))
    }

    private func read(
        _ header: RecordHeader, _ offset: Int, _ reader: SegmentReader, _ candidates: inout [Candidate]
    ) throws(LogFileError) {
        guard header.bodyBytes <= LogLimits.controlBytesMax, let body = try reader.body(header, at: offset) else { return }
        let bytes = UnsafeRawBufferPointer(body.bytes)
        if header.kind == RecordHeader.Kind.fingerprints.rawValue {
            guard let block = FingerprintBlock.decode(bytes) else { return }
            for fingerprint in block.fingerprints { addFingerprint(fingerprint, block.newestUnixNano) }
            return
        }
        for entry in ReleaseEntry.decode(bytes) {
            guard let index = candidates.firstIndex(where: { $0.header.firstSequence == entry.segment }) else { continue }
            // No more records than fit into the file: bounds the memory that an entry can ask for.
            let wordsMax = candidates[index].bytes / RecordHeader.bytes / 64 + 1
            guard Int(entry.firstWord) + entry.words.count <= wordsMax else { continue }
            candidates[index].released[entry.reader, default: RecordBits()].formUnion(entry.words, atWord: Int(entry.firstWord))
        }
    }

    /// Applies the releases. A pipeline that the segment was not written for has no claim on its records, unless one that has gone
    /// left some: that is what a renamed pipeline looks like, and the new ones take over what the old ones had not done.
    private mutating func restore(_ ledger: inout SegmentLedger, _ candidate: Candidate) {
        let gone = candidate.header.readers.filter { !readers.contains($0) }
        let everything = RecordBits(first: ledger.count)
        var doneByGone = everything
        for name in gone { doneByGone.formIntersection(candidate.released[name] ?? RecordBits()) }
        for (reader, name) in readers.enumerated() {
            var released = candidate.released[name] ?? RecordBits()
            if !candidate.header.readers.contains(name) { released.formUnion(doneByGone.words, atWord: 0) }
            ledger.restore(released: released, reader: reader)
        }
        if readers.allSatisfy({ candidate.header.readers.contains($0) }) {
            log.orphanedRecords += max(0, ledger.count - ledger.deadCount - doneByGone.count(below: ledger.count))
        }
    }
}
