import Testing
@testable import Pipeline

@Suite struct LogFormatTests {
    private let header = SegmentHeader(
        directoryID: 1, run: 2, firstSequence: 3, createdUnixNano: 4, nonce: 5, fingerprintSeed: 6, readers: ["traces", "traces/größe", ""])

    @Test func theChecksumIsCRC32C() {
        #expect(Array("123456789".utf8).withUnsafeBytes { CRC32C.of($0) } == 0xE306_9283)
        let first = Array("12345".utf8).withUnsafeBytes { CRC32C.of($0) }
        #expect(Array("6789".utf8).withUnsafeBytes { CRC32C.of($0, seed: first) } == 0xE306_9283)
        #expect(CRC32C.of(UnsafeRawBufferPointer(start: nil, count: 0)) == 0)
    }

    @Test func aSegmentsHeaderIsReadAsWritten() throws {
        let bytes = header.encoded()
        #expect(bytes.count == LogFormat.headerBytes)
        #expect(try bytes.withUnsafeBytes { try SegmentHeader($0) } == header)
    }

    @Test func everyFlippedBitOfAHeaderIsNoticed() {
        let bytes = header.encoded()
        var random = SeededNumbers(seed: 1)
        for _ in 0..<2_000 {
            var damaged = bytes
            damaged[random.chance(2) ? random.below(100) : random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
            #expect(throws: SegmentHeader.DecodeFailure.self) { try damaged.withUnsafeBytes { try SegmentHeader($0) } }
        }
    }

    @Test func aNewerVersionIsToldFromDamage() {
        var bytes = header.encoded()
        bytes[8] = 2
        bytes[12] = ~2
        #expect(throws: SegmentHeader.DecodeFailure.newerVersion) { try bytes.withUnsafeBytes { try SegmentHeader($0) } }
    }

    @Test func moreReadersThanAHeaderHoldsAreCutOff() throws {
        var many = header
        many.readers = (0..<2_000).map { "traces/pipeline-\($0)" }
        let read = try many.encoded().withUnsafeBytes { try SegmentHeader($0) }
        #expect(read.readers.count > 300)
        #expect(read.readers == Array(many.readers.prefix(read.readers.count)))
    }

    @Test func aRecordIsReadOnlyWhereItWasWritten() {
        let record = RecordHeader(
            kind: .request, signal: 1, encoding: 1, payloadBytes: 70_000, projectBytes: 3, sequence: .max / 3, receivedUnixNano: 9,
            fingerprint: Fingerprint(low: 1, high: 2), bodyChecksum: 7)
        var bytes = [UInt8](repeating: 0xAA, count: RecordHeader.bytes)
        bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { record.encode(to: base, nonce: 11, offset: 4096) } }
        func read(_ bytes: [UInt8], nonce: UInt64 = 11, offset: Int = 4096) -> RecordHeader? {
            bytes.withUnsafeBytes { raw in raw.baseAddress.flatMap { RecordHeader(at: $0, nonce: nonce, offset: offset) } }
        }
        #expect(read(bytes) == record)
        #expect(read(bytes, offset: 4104) == nil)
        #expect(read(bytes, nonce: 12) == nil)
        for bit in 0..<bytes.count * 8 {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(read(damaged) == nil)
        }
    }

    @Test func fileNamesSortAsSequenceNumbersAndOthersAreNotOurs() {
        #expect(LogFormat.fileName(firstSequence: 255) == "00000000000000ff.wal")
        #expect(LogFormat.firstSequence(ofFile: "00000000000000ff.wal") == 255)
        let others = [
            "lock", "00000000000000FF.wal", "ff.wal", "00000000000000ff.wal.damaged", "000000000000 0ff.wal", "ffffffffffffffff.wal", "",
        ]
        for name in others {
            #expect(LogFormat.firstSequence(ofFile: name) == nil)
        }
    }

    @Test func controlRecordsAreReadAsWrittenAndCutOffWithoutATrap() {
        let entries = [
            ReleaseEntry(reader: "traces", segment: 1, firstWord: 0, words: [1, .max]),
            ReleaseEntry(reader: "traces/b", segment: 9, firstWord: 7, words: []),
        ]
        var body: [UInt8] = []
        for entry in entries { entry.encode(to: &body) }
        #expect(body.withUnsafeBytes { ReleaseEntry.decode($0) } == entries)
        for count in 0..<body.count { #expect(body.prefix(count).withUnsafeBytes { ReleaseEntry.decode($0) }.count < 2) }

        let block = FingerprintBlock(newestUnixNano: 3, fingerprints: [Fingerprint(low: 1, high: 2), Fingerprint(low: 3, high: 4)])
        body = []
        block.encode(to: &body)
        #expect(body.withUnsafeBytes { FingerprintBlock.decode($0) } == block)
        #expect(body.prefix(7).withUnsafeBytes { FingerprintBlock.decode($0) } == nil)

        body = []
        AbortedRanges.encode([3..<5, 9..<10], to: &body)
        #expect(body.withUnsafeBytes { AbortedRanges.decode($0) } == [3..<5, 9..<10])
    }

    @Test func requestsOfDifferentProjectsSignalsAndBytesHaveDifferentFingerprints() {
        func fingerprint(_ text: String, project: String = "", signal: LogSignal = .traces, seed: UInt64 = 1) -> Fingerprint {
            Array(text.utf8).withUnsafeBytes { payload in
                Array(project.utf8).withUnsafeBytes { Fingerprint(signal: signal, project: $0, payload: payload, seed: seed) }
            }
        }
        let all = [
            fingerprint("a"), fingerprint("b"), fingerprint(""), fingerprint("a", project: "p"), fingerprint("", project: "pa"),
            fingerprint("a", signal: .logs), fingerprint("a", seed: 77),
        ]
        #expect(Set(all).count == all.count)
        #expect(fingerprint("a", project: "p") == fingerprint("a", project: "p"))
    }
}
