import Dispatch
import SelfTelemetry
import Synchronization
import Testing
@testable import Pipeline

@Suite struct BoundedQueueTests {
    @Test func elementsComeOutInOrderAcrossTheWrap() {
        let queue = BoundedQueue<Int>(capacity: 3)
        for round in 0..<5 {
            #expect(queue.push(round * 2) == nil)
            #expect(queue.push(round * 2 + 1) == nil)
            #expect(queue.pop() == round * 2)
            #expect(queue.pop() == round * 2 + 1)
        }
    }

    @Test func aFullQueueHandsTheElementBack() {
        let queue = BoundedQueue<Int>(capacity: 2)
        #expect(queue.push(1) == nil)
        #expect(queue.push(2) == nil)
        #expect(queue.isFull)
        #expect(queue.push(3) == 3)
        #expect(queue.pop() == 1)
        #expect(!queue.isFull)
        #expect(queue.push(3) == nil)
        #expect(queue.count == 2)
    }

    @Test func aClosedQueueRefusesAndCanBeEmptied() {
        let queue = BoundedQueue<Int>(capacity: 4)
        _ = queue.push(1)
        queue.close()
        #expect(queue.push(2) == 2)
        #expect(queue.pop() == 1)
        #expect(queue.pop() == nil)
    }

    @Test func popReturnsAtItsDeadline() {
        let queue = BoundedQueue<Int>(capacity: 1)
        let start = ContinuousClock.now
        #expect(queue.pop(until: start + .milliseconds(5)) == nil)
        #expect(ContinuousClock.now - start >= .milliseconds(5))
        #expect(queue.pop(until: start) == nil)
        _ = queue.push(7)
        #expect(queue.pop(until: start) == 7)
    }

    @Test func popWaitsForAPushAndCloseWakesAllWaiters() {
        let queue = BoundedQueue<Int>(capacity: 8)
        let sum = Counter()
        let waiters = DispatchGroup()
        for index in 0..<3 {
            DispatchQueue(label: "pop-\(index)").async(group: waiters) {
                while let value = queue.pop() { sum.add(value) }
            }
        }
        for value in 1...100 { while queue.push(value) != nil {} }
        queue.close()
        #expect(waiters.wait(timeout: .now() + 20) == .success)
        #expect(sum.value == 5050)
    }

    @Test func manyProducersAndConsumersPassEachElementOnce() {
        let queue = BoundedQueue<Int>(capacity: 7)
        let seen = Mutex([Int](repeating: 0, count: 4000))
        let consumers = DispatchGroup()
        for index in 0..<4 {
            DispatchQueue(label: "pop-\(index)").async(group: consumers) {
                while let value = queue.pop() { seen.withLock { $0[value] += 1 } }
            }
        }
        DispatchQueue.concurrentPerform(iterations: 4) { producer in
            for index in 0..<1000 { while queue.push(producer * 1000 + index) != nil {} }
        }
        queue.close()
        #expect(consumers.wait(timeout: .now() + 20) == .success)
        #expect(seen.withLock { $0.allSatisfy { $0 == 1 } })
    }

    @Test func poppedElementsAreReleased() {
        final class Token: Sendable {}
        let queue = BoundedQueue<Token>(capacity: 2)
        weak var token: Token?
        do {
            let made = Token()
            token = made
            _ = queue.push(made)
        }
        #expect(token != nil)
        _ = queue.pop()
        #expect(token == nil)
    }
}

@Suite struct MemoryBudgetTests {
    @Test func reservationsEndAtTheLimitAndOneMayOvershoot() {
        let budget = MemoryBudget(limitBytes: 100)
        #expect(budget.tryReserve(99))
        #expect(budget.tryReserve(50))
        #expect(budget.isExhausted)
        #expect(!budget.tryReserve(1))
        #expect(budget.usedBytes == 149)
        budget.release(50)
        #expect(budget.tryReserve(1))
    }

    @Test func chargesCountAlsoBeyondTheLimit() {
        let budget = MemoryBudget(limitBytes: 10)
        budget.charge(25)
        #expect(budget.usedBytes == 25 && budget.isExhausted)
        budget.release(25)
        #expect(budget.usedBytes == 0 && !budget.isExhausted)
    }

    @Test func aWaiterIsCalledAtOnceWhenThereIsRoom() {
        let budget = MemoryBudget(limitBytes: 10)
        let calls = Counter()
        budget.whenAvailable { calls.add() }
        #expect(calls.value == 1)
    }

    @Test func waitersAreCalledOnceWhenUseFallsBelowTheResumeMark() {
        let budget = MemoryBudget(limitBytes: 100)
        #expect(budget.tryReserve(100))
        let calls = Counter()
        budget.whenAvailable { calls.add() }
        budget.whenAvailable { calls.add() }
        budget.release(5)
        #expect(calls.value == 0)
        budget.release(5)
        #expect(calls.value == 2)
        budget.release(50)
        #expect(calls.value == 2)
    }

    /// Each thread reserves, or waits for its wake-up: a lost one would leave it waiting for ever.
    @Test func noWakeUpIsLostUnderManyThreads() {
        let budget = MemoryBudget(limitBytes: 1000)
        let group = DispatchGroup()
        let failures = Counter()
        for thread in 0..<8 {
            DispatchQueue(label: "reserve-\(thread)").async(group: group) {
                for round in 0..<2000 {
                    let bytes = 100 + (round * 37 + thread * 11) % 400
                    while !budget.tryReserve(bytes) {
                        let woken = DispatchSemaphore(value: 0)
                        budget.whenAvailable { woken.signal() }
                        if woken.wait(timeout: .now() + 20) == .timedOut {
                            failures.add()
                            return
                        }
                    }
                    budget.release(bytes)
                }
            }
        }
        #expect(group.wait(timeout: .now() + 60) == .success)
        #expect(failures.value == 0)
        #expect(budget.usedBytes == 0)
    }
}
