import Glibc
import Synchronization
import Testing

@testable import OTLPWire

final class Account: ByteAccount {
    let charged = Atomic<Int>(0)

    func charge(_ bytes: Int) {
        charged.wrappingAdd(bytes, ordering: .relaxed)
    }

    func release(_ bytes: Int) {
        charged.wrappingSubtract(bytes, ordering: .relaxed)
    }
}

@Suite struct HostileInputTests {
    /// Accepted batches must be walkable to the end; refusals are fine.
    private func survives(_ bytes: [UInt8]) -> Int {
        guard let batch = try? decode(bytes) else { return 0 }
        return BatchText(batch).lines.count
    }

    @Test(arguments: ["full.pb", "llm.pb"])
    func aRequestCutAnywhereIsRefusedOrWalkable(name: String) throws {
        let bytes = try Fixture.bytes(name)
        for count in 0..<bytes.count {
            // Cut within the only resource: never complete.
            if name == "llm.pb", count > 0 { #expect(decodeError(Array(bytes[..<count])) == .malformed) }
            _ = survives(Array(bytes[..<count]))
        }
    }

    @Test(arguments: [11, 12, 13])
    func mutatedRequestsNeverTrap(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let original = try Fixture.bytes("full.pb")
        var accepted = 0
        for _ in 0..<1_500 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes.remove(at: position)
                case 3: bytes.insert([0x00, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0, at: position)
                default: bytes.replaceSubrange(position..<min(position + 9, bytes.count), with: Wire.varint(random.next()))
                }
            }
            if survives(bytes) > 0 { accepted += 1 }
        }
        // Most mutations hit text; if none were accepted, the walk would prove nothing.
        #expect(accepted > 50)
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededRandom(seed: 14)
        for _ in 0..<3_000 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = survives(bytes)
            _ = survives(Wire.request([bytes]))
            _ = survives(Wire.request(spanFields: Wire.bytes(9, Wire.attribute("k", value: bytes))))
            _ = survives(Wire.request(spanFields: Wire.bytes(11, bytes) + Wire.bytes(13, bytes)))
        }
    }

    @Test func valuesNestAsDeepAsTheLimitAndNoDeeper() throws {
        let deepest = try decode(Wire.nestedArrays(NestedValidator.nestingMax))
        #expect(BatchText(deepest).lines.contains { $0.contains("innermost") })
        #expect(decodeError(Wire.nestedArrays(NestedValidator.nestingMax + 1)) == .nestedTooDeep)
        #expect(decodeError(Wire.nestedArrays(10_000)) == .nestedTooDeep)
    }

    @Test func emptySpansInBulkAreRefusedByTheArenasCap() {
        let spans = [UInt8](repeating: 0, count: 4 * 1024 * 1024).enumerated().map { UInt8($0.offset % 2 == 0 ? 0x12 : 0) }
        #expect(decodeError(Wire.bytes(1, Wire.bytes(2, spans))) == .expandsTooMuch)
    }

    @Test func moreSpansThanTheLimitAreRefused() {
        var limits = DecodeLimits()
        limits.spansMax = 3
        let spans = [Fields](repeating: Wire.ids, count: 4)
        #expect(decodeError(Wire.request(spans), limits: limits) == .tooManySpans)
        #expect(decodeError(Wire.request(Array(spans.dropLast())), limits: limits) == nil)
    }

    /// The short cut for ordinary attributes must not accept what the general way, which an unknown field forces, refuses.
    @Test func theShortCutForPlainAttributesAcceptsNothingElse() throws {
        var random = SeededRandom(seed: 15)
        let values: [Fields] = [
            Wire.text(1, "v"), Wire.text(1, ""), Wire.number(2, 1), Wire.number(3, 127), Wire.fixed64(4, 7), Wire.number(3, 300),
        ]
        var plain = 0
        for _ in 0..<20_000 {
            var attribute = Wire.attribute("k", value: values[Int.random(in: 0..<values.count, using: &random)])
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let position = Int.random(in: 0..<attribute.count, using: &random)
                attribute[position] = [0, 1, 2, 9, 0x0A, 0x12, 0x10, 0x18, 0x21, 0x80, 0xFF, UInt8.random(in: 0...255, using: &random)]
                    .randomElement(using: &random) ?? 0
            }
            guard attribute.withUnsafeBytes({ NestedValidator.isPlain($0) }) else { continue }
            plain += 1
            let unknown = Wire.number(1_000, 1)
            #expect(decodeError(Wire.request(spanFields: Wire.bytes(9, unknown + attribute))) == nil)
        }
        #expect(plain > 2_000)
    }

    @Test(arguments: [UInt8(3), 4, 6, 7])
    func groupsAndUnknownWireTypesAreRefusedAtEveryLevel(type: UInt8) {
        let bad = Wire.any(100, type: type)
        #expect(decodeError(bad) == .malformed)
        #expect(decodeError(Wire.bytes(1, bad)) == .malformed)
        #expect(decodeError(Wire.bytes(1, Wire.bytes(1, bad))) == .malformed)
        #expect(decodeError(Wire.bytes(1, Wire.bytes(2, Wire.bytes(1, bad)))) == .malformed)
        #expect(decodeError(Wire.request(spanFields: bad)) == .malformed)
        for child: UInt32 in [9, 11, 13, 15] { #expect(decodeError(Wire.request(spanFields: Wire.bytes(child, bad))) == .malformed) }
        #expect(decodeError(Wire.request(spanFields: Wire.bytes(9, Wire.attribute("k", value: bad)))) == .malformed)
        #expect(decodeError(Wire.request(spanFields: Wire.bytes(9, Wire.attribute("k", value: Wire.bytes(6, bad))))) == .malformed)
    }

    @Test func varintsAndTagsOutOfRangeAreRefused() {
        let endless = [UInt8](repeating: 0xFF, count: 11)
        #expect(decodeError(Wire.request(spanFields: Wire.tag(6, 0) + endless)) == .malformed)
        #expect(decodeError(Wire.request(spanFields: endless)) == .malformed)
        #expect(decodeError(Wire.request(spanFields: [0x00])) == .malformed)
        #expect(decodeError(Wire.request(spanFields: Wire.tag(5, 2) + Wire.varint(.max))) == .malformed)
        #expect(decodeError(Wire.request(spanFields: Wire.tag(5, 2) + Wire.varint(1 << 63))) == .malformed)
    }
}

@Suite struct MessageArenaTests {
    @Test func theCapHoldsWhateverIsAskedFor() {
        var random = SeededRandom(seed: 21)
        let arena = MessageArena(expectedBytes: 100, capacityMax: 1_000_000)
        while !arena.isExhausted { _ = arena.allocate(Int.random(in: 0...200_000, using: &random)) }
        #expect(arena.allocatedBytes <= 1_000_000)
        #expect(arena.allocate(.max) == nil)
        #expect(arena.allocate(-1) == nil)
    }

    @Test func blocksAreAlignedAndDoNotOverlap() throws {
        var random = SeededRandom(seed: 22)
        let arena = MessageArena(expectedBytes: 0, capacityMax: 10_000_000)
        var blocks: [(start: Int, count: Int)] = []
        for _ in 0..<500 {
            let count = Int.random(in: 0...3_000, using: &random) * (Int.random(in: 0..<20, using: &random) == 0 ? 50 : 1)
            let block = try #require(arena.allocate(count))
            blocks.append((Int(bitPattern: block), count))
            memset(block, 0xAB, count)
        }
        blocks.sort { $0.start < $1.start }
        for (one, next) in zip(blocks, blocks.dropFirst()) { #expect(one.start + one.count <= next.start) }
        #expect(blocks.allSatisfy { $0.start % MessageArena.alignment == 0 })
    }

    @Test func freedChunksAreUsedAgainUpToALimit() throws {
        let pool = ChunkPool()
        var list: UnsafeMutablePointer<ArenaChunk>?
        for _ in 0..<(ChunkPool.retainedBytesDefault / ChunkPool.chunkBytes + 10) {
            let chunk = try #require(pool.take(bytes: ChunkPool.chunkBytes))
            chunk.pointee.next = list
            list = chunk
        }
        let odd = try #require(pool.take(bytes: 1_000))
        odd.pointee.next = list
        pool.give(odd)
        #expect(pool.retainedBytes == ChunkPool.retainedBytesDefault)
        let again = try #require(pool.take(bytes: ChunkPool.chunkBytes))
        #expect(pool.retainedBytes == ChunkPool.retainedBytesDefault - ChunkPool.chunkBytes)
        #expect(again.pointee.next == nil)
        pool.give(again)
    }
}
