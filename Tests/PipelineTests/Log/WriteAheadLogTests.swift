import SelfTelemetry
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
}
