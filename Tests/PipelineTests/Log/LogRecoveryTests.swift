import Glibc
import SelfTelemetry
import Testing
@testable import Pipeline

@Suite struct LogRecoveryTests {
    /// A disk with a log of that many requests in one segment, none released.
    private func disk(requests: [[UInt8]], readers: [String] = ["traces"]) async -> Disk {
        let disk = Disk()
        let log = WriteAheadLog.make(small, readers: readers, files: FaultyFiles(disk, seed: 1))
        log.openAndWait()
        for request in requests { #expect(log.append(request).map { if case .durable = $0 { true } else { false } } == true) }
        await log.close()
        return disk
    }

    private let small = WriteAheadLogSettings(directory: "wal", maxSizeBytes: 8 << 20, segmentBytes: 128 << 10)
    private let requests = (0..<6).map { [UInt8($0)] + bytes(700 + 100 * $0, UInt8($0)) }

    private func read(
        _ disk: Disk, registry: MetricRegistry = MetricRegistry(), readers: [String] = ["traces"], reader: Int = 0
    ) async -> [[UInt8]] {
        disk.isLocked = false
        let log = WriteAheadLog.make(small, readers: readers, registry: registry, files: FaultyFiles(disk, seed: 2))
        log.openAndWait()
        let found = log.readAll(reader: reader)
        // Whatever was found, the log takes requests again.
        #expect(log.append([77]).map { if case .durable = $0 { true } else { false } } == true)
        await log.close()
        return found
    }

    private func copy(_ disk: Disk, _ change: (inout [UInt8]) -> Void) -> Disk {
        let made = Disk()
        for (name, inode) in disk.names {
            let other = Disk.Inode(bytes: 0)
            other.cached = inode.cached
            if name.hasSuffix(".wal") { change(&other.cached) }
            made.names[name] = other
        }
        return made
    }

    @Test func aFileCutAnywhereGivesTheRecordsBeforeTheCut() async {
        let original = await disk(requests: requests)
        let full = original.names.values.first?.cached ?? []
        var ends: [Int] = []
        var start = LogFormat.recordsStart
        for request in requests {
            ends.append(start + RecordHeader.bytes + request.count)
            start += RecordHeader.totalBytes(body: request.count)
        }
        var lengths = Array(stride(from: 0, to: full.count, by: 997)) + Array(ends.map { $0 - 1 }) + ends
        lengths += Array(LogFormat.recordsStart..<LogFormat.recordsStart + 200)
        for length in lengths {
            let found = await read(copy(original) { $0.removeLast(max(0, $0.count - length)) })
            let isRight = found == Array(requests.prefix(ends.count { $0 <= length }))
            #expect(isRight, "cut at \(length)")
        }
    }

    @Test func aFlippedBitCostsAtMostItsOwnRecord() async {
        let original = await disk(requests: requests)
        var random = SeededNumbers(seed: 7)
        for _ in 0..<300 {
            var place = 0
            let damaged = copy(original) { file in
                place = random.below(file.count)
                file[place] ^= 1 << UInt8(random.below(8))
            }
            let found = await read(damaged)
            #expect(found.count >= requests.count - 1, "at \(place)")
            let isRight = found == requests.filter { found.contains($0) }
            #expect(isRight, "at \(place)")
        }
    }

    @Test func damageInTheMiddleIsCountedAndSkipped() async {
        let original = await disk(requests: requests)
        let second = LogFormat.recordsStart + RecordHeader.totalBytes(body: requests[0].count)
        let third = second + RecordHeader.totalBytes(body: requests[1].count)
        for range in [second..<third, second..<second + 1, second + 100..<second + 101, second..<third + 30] {
            let registry = MetricRegistry()
            // A hole of zeros.
            let found = await read(copy(original) { for index in range { $0[index] = 0 } }, registry: registry)
            let lost = range.upperBound > third ? 2 : 1
            #expect(found == [requests[0]] + requests[(1 + lost)...])
            #expect(registry.counter("collector_wal_corrupt_records_total", help: "").value == lost)
        }
    }

    @Test func anyBytesAtAllNeverStopTheLog() async {
        let original = await disk(requests: requests)
        var random = SeededNumbers(seed: UInt64.random(in: 0..<1_000_000))
        let seed = random
        for _ in 0..<150 {
            let damaged = copy(original) { file in
                switch random.below(4) {
                case 0: file = (0..<random.below(60_000)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                case 1:
                    for _ in 0..<random.below(200) { file[random.below(file.count)] = UInt8(truncatingIfNeeded: random.next()) }
                case 2:
                    let from = random.below(file.count)
                    file.replaceSubrange(from..<file.count, with: file[random.below(from + 1)...])
                default:
                    let at = random.below(file.count)
                    file.removeSubrange(at..<min(file.count, at + random.below(5_000)))
                }
            }
            damaged.names["0000000000000fff.wal"] = Disk.Inode(bytes: random.below(40_000))
            let found = await read(damaged)
            #expect(found.allSatisfy { requests.contains($0) }, "\(seed)")
        }
    }

    @Test func aPayloadThatLooksLikeARecordIsNotTakenForOne() async {
        let original = await disk(requests: requests)
        let whole = original.names.values.first?.cached ?? []
        // A former segment as the payload, of which the header is then destroyed.
        let hostile = Array(whole[LogFormat.recordsStart...])
        let carrier = await disk(requests: [hostile, [1]])
        let found = await read(copy(carrier) { $0[LogFormat.recordsStart] ^= 1 })
        #expect(found == [[1]])
    }

    @Test func aPipelineOfAnotherNameTakesOverWhatTheFormerOneLeft() async {
        let original = await disk(requests: requests)
        #expect(await read(copy(original) { _ in }, readers: ["traces/renamed"]) == requests)
        // One that is added has no claim on what came before it.
        #expect(await read(copy(original) { _ in }, readers: ["traces", "traces/new"], reader: 1) == [])
        #expect(await read(copy(original) { _ in }, readers: ["traces", "traces/new"], reader: 0) == requests)
    }

    @Test func whatAPipelineThatIsGoneLeftIsCounted() async {
        let original = await disk(requests: requests, readers: ["traces", "traces/gone"])
        let registry = MetricRegistry()
        #expect(await read(original, registry: registry) == requests)
        #expect(registry.counter("collector_wal_orphaned_requests_total", help: "").value == requests.count)
    }

    @Test func aNewerFormatIsLeftAloneAndSaid() async {
        let original = await disk(requests: requests)
        let newer = copy(original) { file in
            for copy in [0, LogFormat.headerBytes] {
                file[copy + 8] = 2
                file[copy + 12] = ~2
            }
        }
        let before = newer.names.mapValues(\.cached)
        let log = WriteAheadLog.make(small, files: FaultyFiles(newer, seed: 1), timing: LogTiming(retryInterval: .milliseconds(1)))
        log.open()
        let deadline = ContinuousClock.now + patience
        let said = ComponentHealth.degraded("the write-ahead log was written by a newer version, and is left alone")
        while log.health != said, ContinuousClock.now < deadline {}
        #expect(log.health == said)
        #expect(log.append([1]) == .refused(.logUnavailable))
        await log.close()
        #expect(newer.names.mapValues(\.cached) == before)
    }

    @Test func aClockThatWasSetBackLosesNothing() async {
        let disk = Disk()
        let now = LogClock.system
        let ahead = LogClock(wall: { now.wall() + 86_400_000_000_000 }, monotonic: now.monotonic)
        let log = WriteAheadLog.make(small, files: FaultyFiles(disk, seed: 1), clock: ahead)
        log.openAndWait()
        #expect(log.append([1], at: ahead.wall()) == .durable(sequence: 1))
        await log.close()
        let again = WriteAheadLog.make(small, files: FaultyFiles(disk, seed: 1))
        again.openAndWait()
        #expect(again.append([1]) == .repeated)
        #expect(again.readAll() == [[1]])
        await again.close()
    }
}
