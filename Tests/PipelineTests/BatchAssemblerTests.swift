import Testing
@testable import Pipeline

/// Seeded, so that a failure repeats itself.
private struct Lehmer: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}

@Suite struct BatchAssemblerTests {
    private let start = ContinuousClock.now
    private func assembler(_ size: Int, max: Int = 0, timeout: Duration = .seconds(1)) -> BatchAssembler<Numbers> {
        BatchAssembler(settings: BatchSettings(sizeItems: size, maxItems: max, timeout: timeout))
    }

    @Test func theFirstItemsStartATimerAndLaterOnesDoNot() {
        var assembler = assembler(10)
        var step = assembler.add(Numbers(0..<3), now: start)
        #expect(step.send.isEmpty && step.startTimer == .seconds(1))
        step = assembler.add(Numbers(3..<6), now: start)
        #expect(step.send.isEmpty && step.startTimer == nil)
        #expect(assembler.timerFired(generation: assembler.generation, now: start) == Numbers(0..<6))
        #expect(assembler.pendingItemCount == 0)
    }

    @Test func aFullBatchGoesAtOnceAndWhole() {
        var assembler = assembler(10)
        _ = assembler.add(Numbers(0..<9), now: start)
        let step = assembler.add(Numbers(9..<25), now: start)
        #expect(step.send == [Numbers(0..<25)])
        #expect(step.startTimer == nil)
    }

    @Test func noBatchExceedsTheMaximumAndTheRestGetsATimerOfItsOwn() {
        var assembler = assembler(10, max: 10)
        _ = assembler.add(Numbers(0..<9), now: start)
        let first = assembler.generation
        let step = assembler.add(Numbers(9..<33), now: start)
        #expect(step.send == [Numbers(0..<10), Numbers(10..<20), Numbers(20..<30)])
        #expect(step.startTimer == .seconds(1))
        #expect(assembler.timerFired(generation: first, now: start) == nil)
        #expect(assembler.timerFired(generation: assembler.generation, now: start) == Numbers(30..<33))
    }

    @Test func aRestThatIsStillFullGoesToo() {
        var assembler = assembler(5, max: 10)
        let step = assembler.add(Numbers(0..<18), now: start)
        #expect(step.send == [Numbers(0..<10), Numbers(10..<18)])
        #expect(step.startTimer == nil)
    }

    @Test func theTimerOfABatchThatLeftBySizeDoesNotCutTheNextOneShort() {
        var assembler = assembler(4)
        _ = assembler.add(Numbers(0..<1), now: start)
        let stale = assembler.generation
        _ = assembler.add(Numbers(1..<4), now: start)
        _ = assembler.add(Numbers(4..<5), now: start)
        #expect(assembler.timerFired(generation: stale, now: start) == nil)
        #expect(assembler.pendingItemCount == 1)
    }

    @Test func withoutATimeoutNothingWaits() {
        var assembler = assembler(100, max: 100, timeout: .zero)
        #expect(assembler.add(Numbers(0..<3), now: start).send == [Numbers(0..<3)])
        #expect(assembler.add(Numbers(0..<250), now: start).send.map(\.itemCount) == [100, 100, 50])
    }

    @Test func sizeZeroSendsEverythingAtOnce() {
        var assembler = assembler(0)
        #expect(assembler.add(Numbers(0..<1), now: start).send == [Numbers(0..<1)])
    }

    @Test func anEmptyBatchIsDroppedAndStartsNoTimer() {
        for timeout in [Duration.zero, .seconds(1)] {
            var assembler = assembler(1, timeout: timeout)
            let step = assembler.add(Numbers([]), now: start)
            #expect(step.send.isEmpty && step.startTimer == nil)
            #expect(assembler.take(now: start) == nil)
        }
    }

    @Test func afterAQuietTimeTheShortTimeoutHoldsAndUnderLoadTheLongOne() {
        var assembler = BatchAssembler<Numbers>(
            settings: BatchSettings(sizeItems: 10, timeout: .milliseconds(200), quietTimeout: .milliseconds(10)))
        #expect(assembler.add(Numbers(0..<1), now: start).startTimer == .milliseconds(10))
        let sent = start + .milliseconds(10)
        #expect(assembler.timerFired(generation: assembler.generation, now: sent) != nil)
        #expect(assembler.add(Numbers(1..<2), now: sent + .milliseconds(50)).startTimer == .milliseconds(200))
        let sentAgain = sent + .milliseconds(250)
        #expect(assembler.timerFired(generation: assembler.generation, now: sentAgain) != nil)
        #expect(assembler.add(Numbers(2..<3), now: sentAgain + .milliseconds(199)).startTimer == .milliseconds(200))
        _ = assembler.take(now: sentAgain)
        #expect(assembler.add(Numbers(3..<4), now: sentAgain + .milliseconds(200)).startTimer == .milliseconds(10))
    }

    @Test func anySequenceOfSizesKeepsEveryItemInOrder() {
        var generator = Lehmer(state: 7)
        for (size, max) in [(1, 1), (3, 7), (5, 0), (8, 8), (4, 5)] {
            var assembler = assembler(size, max: max)
            var out: [Int] = []
            var given = 0
            for _ in 0..<200 {
                let count = Int.random(in: 0..<20, using: &generator)
                let step = assembler.add(Numbers(given..<given + count), now: start)
                given += count
                for batch in step.send {
                    #expect(max == 0 || batch.itemCount <= max)
                    out += batch.values
                }
                if Bool.random(using: &generator), let batch = assembler.timerFired(generation: assembler.generation, now: start) {
                    out += batch.values
                }
            }
            out += assembler.take(now: start)?.values ?? []
            #expect(out == Array(0..<given))
        }
    }
}
