import Testing
@testable import Pipeline

@Suite struct SegmentLedgerTests {
    private func ledger(_ count: Int, readers: Int = 2) -> SegmentLedger {
        let header = SegmentHeader(
            directoryID: 1, run: 1, firstSequence: 100, createdUnixNano: 0, nonce: 0, fingerprintSeed: 0, readers: [])
        var ledger = SegmentLedger(name: "x", header: header, readerCount: readers, allocatedBytes: 0)
        for index in 0..<count { ledger.append(offset: 1_000 + index * 10) }
        return ledger
    }

    @Test func bitsBehaveAsASet() {
        var bits = RecordBits()
        var model: Set<Int> = []
        var random = SeededNumbers(seed: 5)
        for _ in 0..<2_000 {
            let index = random.below(700)
            if random.chance(3) {
                bits.remove(index)
                model.remove(index)
            } else {
                let wasMissing = model.insert(index).inserted
                let isNew = bits.insert(index)
                #expect(isNew == wasMissing)
            }
            let from = random.below(700)
            let end = random.below(750)
            #expect(bits.firstMissing(from: from, below: end) == (from..<max(from, end)).first { !model.contains($0) })
            #expect(bits.count(below: end) == model.count { $0 < end })
        }
        #expect(RecordBits(first: 130).count(below: .max) == 130)
        #expect(RecordBits(first: 0) == RecordBits())
    }

    @Test func aRecordIsTakenOnceByEachReader() {
        var ledger = ledger(3)
        let answers = [ledger.take(1, reader: 0), ledger.take(1, reader: 0), ledger.take(1, reader: 1)]
        #expect(answers == [true, false, true])
        ledger.giveBack(1, reader: 0)
        #expect(ledger.firstUntaken(from: 0, reader: 0) == 0)
        #expect(ledger.firstUntaken(from: 1, reader: 1) == 2)
        let again = ledger.take(1, reader: 0)
        #expect(again)
    }

    @Test func aSegmentIsReleasedWhenEveryReaderHasReleasedEverything() {
        var ledger = ledger(70)
        for index in 0..<70 {
            #expect(!ledger.isReleased)
            ledger.release(index, reader: 0)
            ledger.release(index, reader: 0)
            ledger.release(index, reader: 1)
        }
        #expect(ledger.isReleased)
        #expect(ledger.unreleasedCount(reader: 0) == 0)
    }

    @Test func deadRecordsAreNeitherTakenNorMissed() {
        var ledger = ledger(2)
        ledger.appendDead(3, offset: 5_000, isPersistent: true)
        ledger.append(offset: 6_000)
        let isTaken = (0..<ledger.count).map { index in ledger.take(index, reader: 0) }
        #expect(isTaken == [true, true, false, false, false, true])
        #expect(ledger.unreleasedCount(reader: 1) == 3)
        #expect(!ledger.hasDirtyReleases)
    }

    @Test func unwrittenReleasesComeInPiecesUntilAllAreTakenAndAgainWhenTheyWereNotWritten() {
        var ledger = ledger(1_000)
        for index in stride(from: 0, to: 1_000, by: 3) { ledger.release(index, reader: 1) }
        var entries: [ReleaseEntry] = []
        while let entry = ledger.takeDirtyReleases(reader: 1, name: "b", wordsMax: 5) { entries.append(entry) }
        #expect(entries.count == 4)
        #expect(!ledger.hasDirtyReleases)
        ledger.markDirty(entries[2], reader: 1)
        let again = ledger.takeDirtyReleases(reader: 1, name: "b", wordsMax: 100)
        #expect(again == entries[2])
        var restored = self.ledger(1_000)
        var bits = RecordBits()
        for entry in entries { bits.formUnion(entry.words, atWord: Int(entry.firstWord)) }
        restored.restore(released: bits, reader: 1)
        #expect(restored.unreleasedCount(reader: 1) == ledger.unreleasedCount(reader: 1))
        #expect(restored.firstUntaken(from: 0, reader: 1) == 1)
    }

    @Test func aWaypointIsAtOrBeforeItsRecord() {
        let ledger = ledger(1_000)
        for index in [0, 1, 63, 64, 500, 999] {
            let waypoint = ledger.waypoint(for: index)
            #expect(waypoint.index <= index && index - waypoint.index < LogLimits.waypointInterval)
            #expect(waypoint.offset == 1_000 + waypoint.index * 10)
        }
    }
}
