import OTLPWire
import Testing

@testable import Sampling

/// The tables below the tail sampler, each against the plainest model of it.
@Suite struct TailTablesTests {
    @Test func aPoolGivesOutEachPlaceOnceAndKeepsWhatIsInIt() {
        var random = SplitMix64(seed: 11)
        var pool = SlotPool<Int>()
        var model: [Int32: Int] = [:]
        for step in 0..<200_000 {
            // Grows to some thousands, shrinks to nothing, grows again.
            let isGrowing = step / 20_000 % 2 == 0
            if model.isEmpty || random.next(upperBound: UInt64(10)) < (isGrowing ? 7 : 3) {
                let place = pool.insert(step)
                #expect(model.updateValue(step, forKey: place) == nil)
            } else if let place = model.randomElement(using: &random)?.key {
                let kept = pool[place]
                #expect(kept == model[place])
                pool.remove(place)
                model[place] = nil
            }
            if step % 1_000 == 0 {
                let count = pool.count
                #expect(count == model.count)
                for (place, value) in model {
                    let kept = pool[place]
                    #expect(kept == value)
                }
            }
        }
    }

    @Test func aPoolGivesBackItsMemoryOnceItIsEmpty() {
        var pool = SlotPool<Int>()
        let before = pool.byteCount
        let places = (0..<100_000).map { pool.insert($0) }
        let full = pool.byteCount
        #expect(full >= 100_000 * 8)
        for place in places { pool.remove(place) }
        let after = pool.byteCount
        #expect(after == before)
        let hasFirst = pool.contains(0)
        #expect(!hasFirst)
    }

    /// Hashes from few values, so that runs are long and meet each other.
    @Test(arguments: [UInt64.max, 0xFF, 0x3, 0x0]) func theTableFindsWhatADictionaryFinds(hashMask: UInt64) {
        var random = SplitMix64(seed: 5 &+ hashMask)
        var table = TraceTable()
        var hashes: [Int32: UInt64] = [:]
        let most = hashMask > 0xFF ? 3_000 : 300
        for step in 0..<60_000 {
            let place = Int32(random.next(upperBound: UInt64(most)))
            // Phases in which it grows, and in which it is nearly emptied.
            let inserts = random.next(upperBound: UInt64(10)) < (step / 6_000 % 2 == 0 ? 8 : 2)
            if let hash = hashes[place] {
                let found = table.find(hash) { $0 == place }
                #expect(found == place)
                if !inserts {
                    table.remove(place, hash: hash)
                    hashes[place] = nil
                }
            } else {
                let hash = random.next() & hashMask
                let found = table.find(hash) { $0 == place }
                #expect(found == nil)
                if inserts {
                    hashes[place] = hash
                    table.insert(place, hash: hash) { hashes[$0] ?? 0 }
                }
            }
            let count = table.count
            #expect(count == hashes.count)
        }
        for (place, hash) in hashes {
            let found = table.find(hash) { $0 == place }
            #expect(found == place)
            table.remove(place, hash: hash)
        }
        let (count, bytes, fresh) = (table.count, table.byteCount, TraceTable().byteCount)
        #expect(count == 0 && bytes == fresh)
    }

    @Test func theTableDoesNotGrowWhileAsManyComeAsGo() {
        var table = TraceTable()
        var random = SplitMix64(seed: 1)
        var hashes = (0..<1_000).map { _ in random.next() }
        for place in hashes.indices { table.insert(Int32(place), hash: hashes[place]) { hashes[Int($0)] } }
        let before = table.byteCount
        for step in 0..<200_000 {
            let place = step % hashes.count
            table.remove(Int32(place), hash: hashes[place])
            hashes[place] = random.next()
            table.insert(Int32(place), hash: hashes[place]) { hashes[Int($0)] }
        }
        let after = table.byteCount
        #expect(after <= before)
    }

    @Test func theQueueGivesBackWhatItWasGivenInOrder() {
        var random = SplitMix64(seed: 3)
        var queue = DueQueue()
        var model: [Int32] = []
        var next: Int32 = 0
        for _ in 0..<100_000 {
            if random.next(upperBound: UInt64(100)) < 52 {
                queue.append(DueQueue.Entry(place: next, generation: 1, deadline: Int64(next)))
                model.append(next)
                next += 1
            } else {
                #expect(queue.popFirst()?.place == (model.isEmpty ? nil : model.removeFirst()))
            }
            #expect(queue.first?.place == model.first && queue.count == model.count)
        }
        while let entry = queue.popFirst() { #expect(entry.place == model.removeFirst()) }
        #expect(model.isEmpty)
    }

    @Test func theQueueKeepsNoMemoryOfABurst() {
        var queue = DueQueue()
        for place in 0..<100_000 as Range<Int32> { queue.append(DueQueue.Entry(place: place, generation: 1, deadline: 0)) }
        for _ in 0..<99_900 { _ = queue.popFirst() }
        #expect(queue.byteCount <= 2 * DueQueue.keptEntries * MemoryLayout<DueQueue.Entry>.stride)
        while queue.popFirst() != nil {}
        #expect(queue.byteCount <= DueQueue.keptEntries * MemoryLayout<DueQueue.Entry>.stride)
    }

    @Test func aCleanedQueueHasWhatIsAliveInOrderAndNoMemoryForTheRest() {
        var queue = DueQueue()
        let count = Int32(DueQueue.keptEntries * 10)
        for place in 0..<count { queue.append(DueQueue.Entry(place: place, generation: 1, deadline: Int64(place))) }
        for _ in 0..<100 { _ = queue.popFirst() }
        let before = queue.byteCount
        queue.clean(live: Int(count)) { _ in false }
        #expect(queue.count == Int(count) - 100, "while more than half may be alive nothing is looked at")
        queue.clean(live: 10) { $0.place % 8_192 == 0 }
        #expect(queue.byteCount < before / 10)
        var left: [Int32] = []
        while let entry = queue.popFirst() { left.append(entry.place) }
        #expect(left == (0..<count).filter { $0 >= 100 && $0 % 8_192 == 0 })
    }
}

@Suite struct DecisionCacheTests {
    private func id(_ number: UInt64) -> TraceID { TraceID(high: 9, low: number) }

    @Test func keptTracesAreForgottenInTheOrderOfTheirLastUse() {
        var random = SplitMix64(seed: 21)
        var cache = DecisionCache(keptMax: 50, droppedMax: 10, seed: 1)
        // Least recently used first.
        var model: [(id: UInt64, kept: DecisionCache.Kept)] = []
        for step in 0..<50_000 {
            let number = random.next(upperBound: UInt64(120))
            let place = model.firstIndex { $0.id == number }
            if random.next(upperBound: UInt64(3)) == 0 {
                let kept = DecisionCache.Kept(policy: UInt16(step % 7), adjustedCount: Double(step))
                cache.insertKept(id(number), kept)
                if let place { model.remove(at: place) } else if model.count == 50 { model.removeFirst() }
                model.append((number, kept))
            } else {
                #expect(cache.kept(id(number)) == place.map { model[$0].kept })
                if let place { model.append(model.remove(at: place)) }
            }
            #expect(cache.keptCount == model.count)
        }
    }

    @Test func droppedTracesAreRememberedForAtLeastHalfTheSizeAndForgottenAfterAllOfIt() {
        var cache = DecisionCache(keptMax: 1, droppedMax: 1_000, seed: 77)
        for number in 0..<20_000 as Range<UInt64> {
            cache.insertDropped(id(number))
            #expect(cache.isDropped(id(number)))
            if number >= 499 { #expect(cache.isDropped(id(number - 499))) }
            if number >= 1_000 { #expect(!cache.isDropped(id(number - 1_000))) }
        }
    }

    @Test func aDroppedTraceThatIsDroppedAgainTakesNoPlace() {
        var cache = DecisionCache(keptMax: 1, droppedMax: 100, seed: 77)
        for number in 0..<49 as Range<UInt64> { cache.insertDropped(id(number)) }
        for _ in 0..<1_000 { cache.insertDropped(id(7)) }
        for number in 0..<49 as Range<UInt64> { #expect(cache.isDropped(id(number))) }
    }

    @Test func aCacheOfNoSizeRemembersNothing() {
        var cache = DecisionCache(keptMax: 0, droppedMax: 0, seed: 1)
        cache.insertKept(id(1), DecisionCache.Kept(policy: 0, adjustedCount: 1))
        cache.insertDropped(id(2))
        #expect(cache.kept(id(1)) == nil && !cache.isDropped(id(2)))
    }

    @Test(arguments: [0, 10]) func roomThatWasMadeHoldsThatManyMore(size: Int) {
        var cache = DecisionCache(keptMax: size, droppedMax: size, seed: 1)
        for number in 0..<UInt64(size) {
            cache.insertKept(id(number), DecisionCache.Kept(policy: 0, adjustedCount: 1))
            cache.insertDropped(id(1_000 + number))
        }
        cache.makeRoom(kept: 5_000, dropped: 5_000)
        for number in 0..<5_000 as Range<UInt64> {
            cache.insertKept(id(10_000 + number), DecisionCache.Kept(policy: 1, adjustedCount: 2))
            cache.insertDropped(id(20_000 + number))
        }
        for number in 0..<UInt64(size) { #expect(cache.kept(id(number)) != nil) }
        for number in 0..<5_000 as Range<UInt64> {
            #expect(cache.kept(id(10_000 + number)) != nil && cache.isDropped(id(20_000 + number)))
        }
    }
}
