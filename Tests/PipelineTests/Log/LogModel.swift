import Testing
@testable import Pipeline

/// Drives a log on a faulty disk at random and keeps account of what it has promised.
final class LogModel {
    /// What one reader has to do with one request.
    private enum Claim {
        case owed
        /// Released in this run.
        case released
        /// Released before a crash, or lost with what was not synced: may come back, need not.
        case open
        /// Released, and the log was closed in order: must not come back.
        case done
    }

    private struct Item {
        var payload: [UInt8]
        var isAccepted = false
        var claims: [Claim]
        /// Held by the readers of this run.
        var isTaken: [Bool]
    }

    /// What was written down for the next run.
    private struct Note {
        let body: [UInt8]
        /// The first of these requests were accepted before it: as long as one of them is owed, the note has to be there.
        let itemCount: Int
        var isAcknowledged: Bool
        /// Refused, and something was accepted after it: then the log has said durably that it is void.
        var isVoid = false
    }

    struct Violation: Error, CustomStringConvertible { let description: String }

    private var random: SeededNumbers
    private let disk = Disk()
    private var files: FaultyFiles
    private var log: WriteAheadLog
    private let configuration: WriteAheadLogSettings
    private let readers: [String]
    private var items: [Item] = []
    private var notes: [Note] = []
    private var noteCount = 0
    private var holds: [(item: Int, hold: LogHold)] = []
    private var cursors: [LogCursor]
    private var isSyncedAlways: Bool { configuration.sync == .always }
    private(set) var events: [String] = []
    private(set) var restarts = 0

    init(seed: UInt64) {
        random = SeededNumbers(seed: seed)
        let segment = 128 << 10
        let sync: WriteAheadLogSettings.Sync = random.chance(4) ? .interval(.milliseconds(1)) : .always
        configuration = WriteAheadLogSettings(
            directory: "wal", maxSizeBytes: segment * (2 + random.below(5)), segmentBytes: segment, sync: sync)
        readers = Array(["traces", "traces/a", "traces/b"][..<(1 + random.below(3))])
        cursors = readers.map { _ in LogCursor() }
        files = FaultyFiles(disk, seed: random.next())
        log = Self.make(configuration, readers, files)
        log.openAndWait()
    }

    private static func make(_ settings: WriteAheadLogSettings, _ readers: [String], _ files: FaultyFiles) -> WriteAheadLog {
        let timing = LogTiming(releaseInterval: .milliseconds(1), retryInterval: .milliseconds(1))
        return WriteAheadLog.make(settings, readers: readers, files: files, timing: timing)
    }

    func run(steps: Int) async throws {
        for _ in 0..<steps {
            switch random.below(20) {
            case 0..<6: try append(1 + random.below(6))
            case 6: writeNote()
            case 7: try resend()
            case 8..<12: release()
            case 12: giveBack()
            case 13..<16: try readSome()
            case 16: files.set(random.chance(2) ? .failing : .reliable, failsReads: random.chance(3))
            case 17: files.set(.reliable)
            case 18: try await restart()
            default: if random.chance(3) { files.die(inCalls: random.below(6)) }
            }
        }
        try await restart()
        try verify()
        files.set(.reliable)
        holds = []
        await log.close()
    }

    private func fail(_ text: String) -> Violation { Violation(description: text) }
}

extension LogModel {
    /// Several at once, so that they share group commits.
    private func append(_ count: Int) throws {
        let first = items.count
        for index in first..<first + count {
            var size = random.below(3_000)
            if random.chance(30) { size = 60_000 + random.below(100_000) }
            var payload = withUnsafeBytes(of: UInt64(index).littleEndian) { Array($0) }
            payload += bytes(size, UInt8(truncatingIfNeeded: index))
            items.append(
                Item(payload: payload, claims: readers.map { _ in .owed }, isTaken: readers.map { _ in false }))
        }
        try send(Array(first..<items.count))
        events.append("append \(first)..<\(items.count)")
    }

    private func writeNote() {
        noteCount += 1
        var body = withUnsafeBytes(of: UInt64(noteCount).littleEndian) { Array($0) }
        body += bytes(random.below(2_000), UInt8(truncatingIfNeeded: noteCount))
        let isAcknowledged = log.appendNote(body, topic: Self.topic)
        if isAcknowledged { voidRefusedNotes() }
        notes.append(Note(body: body, itemCount: items.count, isAcknowledged: isAcknowledged))
        events.append("note \(noteCount) \(isAcknowledged ? "taken" : "refused")")
    }

    private func voidRefusedNotes() {
        for index in notes.indices where !notes[index].isAcknowledged { notes[index].isVoid = true }
    }

    private static let topic = "model"

    /// After a start: in order, none twice, none that is void, and each that some request still needs.
    private func verifyNotes(isPowerLost: Bool) throws {
        // What was written and not synced is what the interval risks.
        if isPowerLost, !isSyncedAlways { notes = [] }
        let found = log.takeNotes(topic: Self.topic)
        let order = Dictionary(uniqueKeysWithValues: notes.enumerated().map { ($1.body, $0) })
        let places = found.compactMap { order[$0] }
        if isSyncedAlways, places.count != found.count { throw fail("a note came back that nobody wrote") }
        guard zip(places, places.dropFirst()).allSatisfy(<) else { throw fail("notes came back out of order") }
        let read = Set(found)
        for (index, note) in notes.enumerated() where note.isVoid && read.contains(note.body) { throw fail("note \(index) was void") }
        for (index, note) in notes.enumerated() where note.isAcknowledged && !read.contains(note.body) {
            let isNeeded = items.prefix(note.itemCount).contains { $0.isAccepted && $0.claims.contains(.owed) }
            if isNeeded { throw fail("note \(index) is lost") }
        }
        // What was refused and is there all the same stays there.
        notes = notes.filter { read.contains($0.body) }
        for index in notes.indices { notes[index].isAcknowledged = true }
    }

    private func resend() throws {
        guard !items.isEmpty else { return }
        let item = random.below(items.count)
        events.append("resend \(item)")
        try send(random.chance(2) ? [item, item] : [item])
    }

    private func send(_ chosen: [Int]) throws {
        let answers = Answers()
        for (index, item) in chosen.enumerated() {
            let payload = items[item].payload
            payload.withUnsafeBytes { log.append(request($0), completion: keepingAlive(payload, answers.completion(index))) }
        }
        for (answer, item) in zip(answers.all(chosen.count), chosen) {
            switch answer {
            case .durable(let sequence):
                if items[item].isAccepted { throw fail("request \(item) was accepted twice") }
                items[item].isAccepted = true
                voidRefusedNotes()
                items[item].claims = readers.map { _ in .owed }
                takeDirectly(item, sequence)
            case .repeated:
                // Of one that was refused when it was sent: it had reached the log all the same and is promised from now on.
                items[item].isAccepted = true
            case .refused: break
            case nil: throw fail("request \(item) was never answered")
            }
        }
    }

    private func request(_ payload: UnsafeRawBufferPointer) -> LogRequest {
        LogRequest(signal: .traces, receivedUnixNano: LogClock.system.wall(), payload: payload)
    }

    /// The array's storage is used by the log until it answers.
    private func keepingAlive(
        _ payload: [UInt8], _ completion: @escaping @Sendable (AppendOutcome) -> Void
    ) -> @Sendable (AppendOutcome) -> Void {
        { outcome in withExtendedLifetime(payload) { completion(outcome) } }
    }

    private func takeDirectly(_ item: Int, _ sequence: UInt64) {
        for reader in readers.indices where random.chance(2) {
            if let hold = log.take(sequence, reader: reader) { keep(hold, item) }
        }
    }

    private func keep(_ hold: LogHold, _ item: Int) {
        items[item].isTaken[hold.reader] = true
        holds.append((item, hold))
    }

    private func release() {
        for _ in 0..<min(holds.count, 1 + random.below(8)) {
            let (item, hold) = holds.remove(at: random.below(holds.count))
            items[item].claims[hold.reader] = .released
        }
        events.append("release")
    }

    private func giveBack() {
        guard !holds.isEmpty else { return }
        let (item, hold) = holds.remove(at: random.below(holds.count))
        hold.giveBack()
        items[item].isTaken[hold.reader] = false
        events.append("give back \(item)")
    }

    private func readSome() throws {
        let reader = random.below(readers.count)
        for _ in 0..<random.below(6) { if try readOne(reader) == nil { break } }
        events.append("read \(reader)")
    }

    /// The item's index.
    private func readOne(_ reader: Int) throws -> Int? {
        guard let request = log.next(&cursors[reader], reader: reader) else { return nil }
        let payload = request.withBytes { Array($0) }
        guard payload.count >= 8 else { throw fail("a record of \(payload.count) bytes was read") }
        let item = Int(UInt64(littleEndian: payload.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }))
        guard items.indices.contains(item), items[item].payload == payload else { throw fail("request \(item) came back changed") }
        if items[item].isTaken[reader] { throw fail("request \(item) was handed to reader \(reader) twice") }
        if items[item].claims[reader] == .done { throw fail("request \(item) came back to reader \(reader) after its release") }
        items[item].claims[reader] = .owed
        keep(request.hold, item)
        return item
    }
}

extension LogModel {
    /// In order, by death of the process, or by a power cut.
    private func restart() async throws {
        restarts += 1
        let kind = random.below(3)
        events.append(["close", "kill", "power cut"][kind])
        if kind == 0 {
            files.set(.reliable)
            holds.forEach { $0.hold.keep() }
            waitUntilWritable()
            let isWritable = log.health == .ok
            holds = []
            await log.close()
            settleReleases(as: isWritable && !files.hasDied ? .done : .open)
        } else {
            files.die()
            holds.forEach { $0.hold.keep() }
            holds = []
            await log.close()
            if kind == 2 { disk.cutPower(&random) }
            settleReleases(as: .open)
        }
        if files.bytesPeak > configuration.maxSizeBytes { throw fail("the log took \(files.bytesPeak) bytes") }
        disk.isLocked = false
        // Written and not synced is what the interval risks.
        if kind == 2, !isSyncedAlways {
            for index in items.indices {
                items[index].isAccepted = false
                items[index].claims = readers.map { _ in .open }
            }
        }
        for index in items.indices { items[index].isTaken = readers.map { _ in false } }
        cursors = readers.map { _ in LogCursor() }
        files = FaultyFiles(disk, seed: random.next())
        log = Self.make(configuration, readers, files)
        log.openAndWait()
        try verifyNotes(isPowerLost: kind == 2)
    }

    private func waitUntilWritable() {
        let deadline = ContinuousClock.now + patience
        while log.admission == .retryable(.logUnavailable, after: nil), ContinuousClock.now < deadline, !files.hasDied {}
    }

    private func settleReleases(as claim: Claim) {
        for index in items.indices {
            for reader in readers.indices where items[index].claims[reader] == .released { items[index].claims[reader] = claim }
        }
    }

    /// After a start: everything owed is read once, in order of acceptance, and known when it is sent again.
    private func verify() throws {
        for reader in readers.indices {
            var last: UInt64 = 0
            while let _ = try readOne(reader) {
                guard let sequence = holds.last?.hold.sequence, sequence > last else { throw fail("read out of order") }
                last = sequence
            }
            for (index, item) in items.enumerated() where item.isAccepted && item.claims[reader] == .owed && !item.isTaken[reader] {
                throw fail("request \(index) is lost to reader \(reader)")
            }
        }
        guard isSyncedAlways else { return }
        for (index, item) in items.enumerated() where item.isAccepted {
            let answers = Answers()
            item.payload.withUnsafeBytes {
                log.append(request($0), completion: answers.completion(0))
                _ = answers.all(1)
            }
            switch answers.all(1)[0] {
            case .repeated, .refused(.logFull): break
            case let other: throw fail("request \(index) was not recognised: \(String(describing: other)), \(log.health)")
            }
        }
    }
}
