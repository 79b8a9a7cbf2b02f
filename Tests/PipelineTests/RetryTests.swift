import Configuration
import Dispatch
import SelfTelemetry
import Synchronization
import Testing
@testable import Pipeline

@Suite struct RetryStateTests {
    private let start = ContinuousClock.now

    private func config(_ change: (inout RetryConfig) -> Void = { _ in }) -> RetryConfig {
        var config = RetryConfig()
        change(&config)
        return config
    }

    @Test func waitsGrowByTheMultiplierUpToTheMaximum() {
        var state = RetryState(config: config { $0.maxElapsedTime = .zero }, now: start)
        let waits = (0..<8).map { _ in state.nextWait(now: start, random: 0.5, after: nil)! }
        #expect(waits[0] == .seconds(5) && waits[1] == .seconds(7.5) && waits[2] == .seconds(11.25))
        #expect(waits.suffix(2).allSatisfy { $0 == .seconds(30) })
    }

    @Test func jitterStaysWithinItsFactor() {
        for step in 0...100 {
            var state = RetryState(config: config(), now: start)
            let wait = state.nextWait(now: start, random: Double(step) / 100.0001, after: nil)!
            #expect(wait >= .seconds(2.5) && wait <= .seconds(7.5))
        }
        var low = RetryState(config: config(), now: start)
        #expect(low.nextWait(now: start, random: 0, after: nil) == .seconds(2.5))
    }

    @Test func thePeersWishIsNeverUndercut() {
        var state = RetryState(config: config(), now: start)
        #expect(state.nextWait(now: start, random: 0, after: .seconds(60)) == .seconds(60))
        #expect(state.nextWait(now: start, random: 0.5, after: .milliseconds(1)) == .seconds(7.5))
    }

    @Test func triesEndWhenTheNextWouldComeAfterTheMaximumTime() {
        var state = RetryState(config: config { $0.maxElapsedTime = .seconds(10) }, now: start)
        #expect(state.nextWait(now: start + .seconds(5), random: 0.5, after: nil) == .seconds(5))
        #expect(state.nextWait(now: start + .seconds(5), random: 0.5, after: nil) == nil)
    }

    @Test func zeroMaximumTimeMeansForEver() {
        var state = RetryState(config: config { $0.maxElapsedTime = .zero }, now: start)
        #expect(state.nextWait(now: start + .seconds(1_000_000), random: 0.5, after: nil) != nil)
    }

    @Test func aZeroIntervalDoesNotSpin() {
        var state = RetryState(config: config { $0.initialInterval = .zero }, now: start)
        for _ in 0..<3 { #expect(state.nextWait(now: start, random: 0, after: nil) == PipelineLimits.retryWaitMin) }
    }

    @Test func switchedOffMeansOneAttempt() {
        var state = RetryState(config: config { $0.enabled = false }, now: start)
        #expect(state.nextWait(now: start, random: 0.5, after: nil) == nil)
    }

    @Test func keysOfTheGoCollectorAreRead() throws {
        let section = try ConfigSection(yaml: """
            enabled: true
            initial_interval: 1s
            max_interval: 2s
            multiplier: 3
            randomization_factor: 0.1
            max_elapsed_time: 0
            """)
        let retry = RetryConfig(from: section)
        #expect(section.problemMessages == [])
        #expect(retry == config {
            $0.initialInterval = .seconds(1)
            $0.maxInterval = .seconds(2)
            $0.multiplier = 3
            $0.randomizationFactor = 0.1
            $0.maxElapsedTime = .zero
        })
        #expect(RetryConfig(from: nil) == RetryConfig())
    }

    @Test func withTheLogTriesNeverEndUnlessConfigured() throws {
        #expect(RetryConfig().filled(isDurable: true).maxElapsedTime == .zero)
        #expect(RetryConfig().filled(isDurable: false).maxElapsedTime == .seconds(300))
        let configured = RetryConfig(from: try ConfigSection(yaml: "max_elapsed_time: 7s"))
        #expect(configured.filled(isDurable: true).maxElapsedTime == .seconds(7))
        #expect(configured.filled(isDurable: false).maxElapsedTime == .seconds(7))
    }

    @Test func queueKeysOfTheGoCollectorAreReadAndWhatIsNotSupportedIsSaid() throws {
        let good = try ConfigSection(yaml: "{enabled: true, num_consumers: 3, queue_size: 12, block_on_overflow: false}")
        let queue = ExportQueueConfig(from: good)
        #expect(good.problemMessages == [])
        #expect(queue.numConsumers == 3 && queue.queueSize == 12)
        let bad = try ConfigSection(yaml: "{enabled: false, block_on_overflow: true}")
        _ = ExportQueueConfig(from: bad)
        #expect(bad.problemMessages.count == 2)
    }
}

@Suite struct CancellationTests {
    @Test func waitIsOverAtItsTimeOrWhenCancelled() {
        let cancellation = Cancellation()
        #expect(cancellation.wait(.milliseconds(1)))
        let done = DispatchSemaphore(value: 0)
        let result = Mutex<Bool?>(nil)
        DispatchQueue(label: "wait").async {
            let isTimeOver = cancellation.wait(.seconds(3600))
            result.withLock { $0 = isTimeOver }
            done.signal()
        }
        cancellation.cancel()
        #expect(done.wait(timeout: .now() + 20) == .success)
        #expect(result.withLock { $0 } == false)
        #expect(!cancellation.wait(.seconds(3600)))
    }

    @Test func theHandlerBreaksABodyThatBlocks() {
        let cancellation = Cancellation()
        let entered = DispatchSemaphore(value: 0)
        let blocked = DispatchSemaphore(value: 0)
        let done = DispatchSemaphore(value: 0)
        DispatchQueue(label: "body").async {
            cancellation.withHandler({ blocked.signal() }) {
                entered.signal()
                blocked.wait()
            }
            done.signal()
        }
        entered.wait()
        cancellation.cancel()
        #expect(done.wait(timeout: .now() + 20) == .success)
    }

    @Test func theHandlerIsCalledAtOnceWhenCancelledBefore() {
        let cancellation = Cancellation()
        cancellation.cancel()
        let calls = Counter()
        cancellation.withHandler({ calls.add() }) {}
        #expect(calls.value == 1)
    }

    @Test func theHandlerIsNotCalledOnceTheBodyIsOver() {
        let cancellation = Cancellation()
        let calls = Counter()
        cancellation.withHandler({ calls.add() }) {}
        cancellation.cancel()
        #expect(calls.value == 0)
    }

    /// What the handler uses (a connection to interrupt) is freed after the body.
    @Test func theHandlerIsNeverRunningAfterTheBodyReturned() {
        let cancellation = Cancellation()
        let bodyRuns = DispatchSemaphore(value: 0)
        let handlerRuns = DispatchSemaphore(value: 0)
        let freed = DispatchSemaphore(value: 0)
        let usedAfterFree = Counter()
        DispatchQueue(label: "body").async {
            cancellation.withHandler({
                handlerRuns.signal()
                // The body is over now or very soon: time enough for a return that does not wait for this handler.
                if freed.wait(timeout: .now() + .milliseconds(50)) == .success { usedAfterFree.add() }
            }) {
                bodyRuns.signal()
                handlerRuns.wait()
            }
            freed.signal()
        }
        bodyRuns.wait()
        cancellation.cancel()
        #expect(freed.wait(timeout: .now() + 20) == .success)
        #expect(usedAfterFree.value == 0)
    }
}
