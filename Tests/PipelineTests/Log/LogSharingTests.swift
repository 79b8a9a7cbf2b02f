import Dispatch
import Synchronization
import Testing
@testable import Pipeline

@Suite struct LogSharingTests {
    private let directory = TemporaryDirectory()

    /// Takes, gives back and releases from several threads, with `next` running against them.
    @Test func eachRecordIsDeliveredOnceToEachReaderHoweverThreadsRace() async {
        let log = WriteAheadLog.make(settings(directory.path, segmentBytes: 1 << 20, maxSizeBytes: 8 << 20), readers: ["a", "b"])
        log.openAndWait()
        let count = 3_000
        let delivered = Mutex<[Int: Int]>([:])
        let deliver: @Sendable (UInt64, Int) -> Void = { sequence, reader in
            delivered.withLock { $0[Int(sequence) * 2 + reader, default: 0] += 1 }
        }
        let appended = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            var random = SeededNumbers(seed: UInt64(thread))
            if thread >= 2 {
                // A feeder, until everything was appended and it finds nothing more.
                var cursor = LogCursor()
                while true {
                    let isComplete = appended.load(ordering: .acquiring) == 2
                    guard let request = log.next(&cursor, reader: thread - 2) else {
                        if isComplete { break }
                        continue
                    }
                    deliver(request.sequence, request.hold.reader)
                }
                return
            }
            for index in 0..<count / 2 {
                let payload = bytes(100 + random.below(500), UInt8(thread)) + [UInt8(index & 255), UInt8(index >> 8)]
                guard case .durable(let sequence) = log.append(payload) else { continue }
                for reader in 0..<2 {
                    guard let hold = log.take(sequence, reader: reader) else { continue }
                    if random.chance(2) { hold.giveBack() } else { deliver(sequence, reader) }
                }
            }
            appended.wrappingAdd(1, ordering: .acquiringAndReleasing)
        }
        let all = delivered.withLock { $0 }
        #expect(all.count == count * 2)
        #expect(all.values.allSatisfy { $0 == 1 })
        #expect(log.withState { state in state.segments.allSatisfy { $0.isReleased } })
        await log.close()
    }

    @Test func aRecordGivenBackIsFoundAgainByACursorThatHasPassedIt() async {
        let log = WriteAheadLog.make(settings(directory.path))
        log.openAndWait()
        for index in 0..<200 { _ = log.append([UInt8(index)]) }
        let held = log.take(7, reader: 0)
        var cursor = LogCursor()
        var read: [UInt64] = []
        while let request = log.next(&cursor, reader: 0) { read.append(request.sequence) }
        #expect(read == (1...200).filter { $0 != 7 })
        held?.giveBack()
        #expect(log.next(&cursor, reader: 0)?.sequence == 7)
        #expect(log.next(&cursor, reader: 0) == nil)
        await log.close()
    }

    @Test func aHoldSaysWhetherItsRecordMayHaveBeenStoredBefore() async {
        let log = WriteAheadLog.make(settings(directory.path))
        log.openAndWait()
        for index in 0..<2 { _ = log.append([UInt8(index)]) }
        let hold = log.take(1, reader: 0)
        #expect(hold?.isReplayed == false)
        hold?.markInDoubt()
        #expect(hold?.isReplayed == true)
        hold?.keep()
        await log.close()
        let again = WriteAheadLog.make(settings(directory.path))
        again.openAndWait()
        var cursor = LogCursor()
        let request = again.next(&cursor, reader: 0)
        #expect(request?.hold.isReplayed == true)
        #expect(request?.hold.run == 1)
        #expect(request?.hold.log == LogIdentity(id: log.identity.id, run: 2))
        await again.close()
    }

    @Test func requestsOfAllSizesComeBackAsTheyWere() async {
        let log = WriteAheadLog.make(settings(directory.path, segmentBytes: 1 << 20, maxSizeBytes: 64 << 20))
        log.openAndWait()
        // Around the reader's window, and larger than a segment.
        let sizes = [0, 1, 7, 8, 9, LogLimits.readWindowBytes - 64, LogLimits.readWindowBytes, LogLimits.readWindowBytes + 1, 3 << 20, 5]
        let requests = sizes.enumerated().map { index, size in [UInt8(index)] + Array(repeating: UInt8(index &+ 100), count: size) }
        for (index, request) in requests.enumerated() {
            #expect(log.append(request, project: "größe") == .durable(sequence: UInt64(index) + 1))
        }
        var cursor = LogCursor()
        for request in requests {
            let read = log.next(&cursor, reader: 0)
            #expect(read?.withBytes { Array($0) == request } == true)
            #expect(read?.project == "größe")
            #expect(read?.byteCount == request.count)
        }
        await log.close()
    }
}
