import Testing
@testable import Pipeline

@Suite struct FingerprintTableTests {
    private let second: Int64 = 1_000_000_000

    private func isKnown(_ number: Int, _ table: FingerprintTable, now: Int64) -> Bool {
        var copy = table
        return copy.contains(fingerprint(number), now: now)
    }

    private func fingerprint(_ number: Int) -> Fingerprint {
        var random = SeededNumbers(seed: UInt64(number))
        return Fingerprint(low: random.next(), high: random.next())
    }

    @Test func aFingerprintIsKnownForTheWindowAndAtMostAQuarterLonger() {
        var table = FingerprintTable(window: .seconds(100), bytesMax: 1 << 20)
        var random = SeededNumbers(seed: 3)
        var times: [Int64] = []
        var now = -50 * second
        for number in 0..<3_000 {
            now += Int64(random.below(Int(second)))
            table.insert(fingerprint(number), at: now, now: now)
            times.append(now)
            let old = random.below(times.count)
            let age = now - times[old]
            let known = isKnown(old, table, now: now)
            if age < 100 * second { #expect(known) }
            if age > 126 * second { #expect(!known) }
        }
        #expect(table.evictedCount == 0)
        #expect(!isKnown(1 << 30, table, now: now))
    }

    @Test func memoryIsBoundedAndTheNewestStay() {
        let bytesMax = 64 << 10
        var table = FingerprintTable(window: .seconds(100), bytesMax: bytesMax)
        for number in 0..<50_000 { table.insert(fingerprint(number), at: 0, now: 0) }
        #expect(table.count <= bytesMax / 16)
        #expect(table.evictedCount > 0)
        for number in 49_000..<50_000 { #expect(isKnown(number, table, now: 0)) }
    }

    @Test func withoutMemoryOrWindowNothingIsKept() {
        for (window, bytes) in [(Duration.seconds(100), 0), (.zero, 1 << 20)] {
            var table = FingerprintTable(window: window, bytesMax: bytes)
            table.insert(fingerprint(1), at: 0, now: 0)
            #expect(!isKnown(1, table, now: 0))
        }
    }

    @Test func aTimeInTheFutureDoesNoHarm() {
        var table = FingerprintTable(window: .seconds(100), bytesMax: 1 << 20)
        table.insert(fingerprint(1), at: .max / 2, now: 0)
        #expect(isKnown(1, table, now: 0))
        table.insert(fingerprint(2), at: 0, now: 0)
        #expect(isKnown(2, table, now: 99 * second))
    }

    @Test func blocksHoldEverythingOnce() {
        var table = FingerprintTable(window: .seconds(100), bytesMax: 1 << 20)
        for number in 0..<1_000 { table.insert(fingerprint(number), at: Int64(number) * second / 10, now: Int64(number) * second / 10) }
        var found: [Fingerprint] = []
        table.forEachBlock(of: 64) { _, block in
            #expect(block.count <= 64)
            found += block
        }
        #expect(found.count == table.count)
        #expect(Set(found) == Set((0..<1_000).map(fingerprint)))
    }

    @Test func aHashWithAZeroHalfIsKeptLikeAnyOther() {
        var set = FingerprintSet()
        set.insert(Fingerprint(low: 0, high: 0))
        #expect(set.contains(Fingerprint(low: 0, high: 0)))
        #expect(!set.contains(Fingerprint(low: 0, high: 1)))
        #expect(set.count == 1)
    }
}
