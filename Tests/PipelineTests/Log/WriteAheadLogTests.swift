import Dispatch
import SelfTelemetry
import Synchronization
import Testing
@testable import Pipeline

@Suite struct WriteAheadLogTests {
    let directory = TemporaryDirectory()

    @Test func whatWasAppendedAndNotReleasedIsReadAgainAfterARestartInOrder() async {
        let log = WriteAheadLog.make(settings(directory.path))
        log.openAndWait()
        #expect(log.health == .ok)
        let requests = (0..<20).map { bytes($0 * 37, UInt8($0)) }
        for request in requests { #expect(log.append(request).map { if case .durable = $0 { true } else { false } } == true) }
        #expect(!log.hasBacklog(reader: 0))
        await log.close()

        let again = WriteAheadLog.make(settings(directory.path))
        again.openAndWait()
        #expect(again.identity.id == log.identity.id)
        #expect(again.identity.run == 2)
        #expect(again.hasBacklog(reader: 0))
        #expect(again.readAll() == requests)
        await again.close()
    }

    @Test func whatIsReleasedIsNotReadAgain() async {
        let log = WriteAheadLog.make(settings(directory.path), readers: ["traces", "traces/other"])
        log.openAndWait()
        for index in 0..<10 {
            guard case .durable(let sequence) = log.append([UInt8(index)]) else { continue }
            let hold = log.take(sequence, reader: 0)
            #expect(hold?.isReplayed == false)
            #expect(log.take(sequence, reader: 0) == nil)
            if index % 2 == 1 { hold?.keep() }
        }
        await log.close()
        let again = WriteAheadLog.make(settings(directory.path), readers: ["traces", "traces/other"])
        again.openAndWait()
        #expect(again.readAll(reader: 0) == [[1], [3], [5], [7], [9]])
        #expect(again.readAll(reader: 1) == (0..<10).map { [$0] })
        await again.close()
    }

    @Test func aRepeatIsRecognisedAlsoAfterARestart() async {
        let log = WriteAheadLog.make(settings(directory.path))
        log.openAndWait()
        #expect(log.append([1, 2, 3]) == .durable(sequence: 1))
        #expect(log.append([1, 2, 3]) == .repeated)
        #expect(log.append([1, 2, 3], project: "other") == .durable(sequence: 2))
        await log.close()
        for _ in 0..<3 {
            let again = WriteAheadLog.make(settings(directory.path))
            again.openAndWait()
            #expect(again.append([1, 2, 3]) == .repeated)
            for sequence in UInt64(1)...2 { _ = again.take(sequence, reader: 0) }
            await again.close()
        }
        #expect(directory.segments.count == 1)
    }

    /// Waits until the files say how many requests of the first segment are released.
    private func writtenReleases(atLeast count: Int) -> Int {
        let deadline = ContinuousClock.now + patience
        var found = 0
        while found < count, ContinuousClock.now < deadline {
            let inspection = LogInspection.read(directory: directory.path, keepsRecords: false)
            found = inspection?.segments.first?.readers.first?.releasedRequests ?? 0
        }
        return found
    }

    @Test func releasesAreWrittenWithoutACloseWhetherTheLogIsIdleOrBusy() async {
        let timing = LogTiming(releaseInterval: .milliseconds(1))
        let log = WriteAheadLog.make(settings(directory.path), timing: timing)
        log.openAndWait()
        for index in 0..<3 { _ = log.append([UInt8(index)]) }
        _ = log.take(1, reader: 0)
        #expect(writtenReleases(atLeast: 1) == 1)
        _ = log.take(2, reader: 0)
        #expect(writtenReleases(atLeast: 2) == 2)

        // Each answer brings the next request, so that there is never none to write.
        let busy = BusyCaller(log)
        busy.send(100)
        _ = log.take(3, reader: 0)
        #expect(writtenReleases(atLeast: 3) == 3)
        busy.stop()
        await log.close()
    }
}

/// Always has a request on its way.
private final class BusyCaller: Sendable {
    private let log: WriteAheadLog
    private let stopped = Atomic<Bool>(false)
    private let ended = DispatchSemaphore(value: 0)

    init(_ log: WriteAheadLog) { self.log = log }

    func send(_ number: UInt64) {
        let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        payload.storeBytes(of: number, as: UInt64.self)
        let owned = UInt(bitPattern: payload.baseAddress)
        log.append(LogRequest(signal: .traces, receivedUnixNano: 1, payload: UnsafeRawBufferPointer(payload))) { [self] outcome in
            UnsafeMutableRawPointer(bitPattern: owned)?.deallocate()
            guard case .durable = outcome else { return _ = ended.signal() }
            if stopped.load(ordering: .relaxed) { ended.signal() } else { send(number + 1) }
        }
    }

    func stop() {
        stopped.store(true, ordering: .relaxed)
        ended.wait()
    }
}
