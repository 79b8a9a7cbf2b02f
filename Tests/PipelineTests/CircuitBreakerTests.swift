import Configuration
import Testing

@testable import Pipeline

@Suite struct CircuitBreakerTests {
    private let start = ContinuousClock.now

    private func breaker(threshold: Int = 3, halfOpen: Int = 2) -> CircuitBreaker {
        var config = CircuitBreakerConfig()
        config.failureThreshold = threshold
        config.halfOpenRequests = halfOpen
        config.openFor = .seconds(10)
        return CircuitBreaker(config: config)
    }

    /// Fails until the circuit is open.
    private func opened(halfOpen: Int = 2) -> CircuitBreaker {
        var breaker = breaker(halfOpen: halfOpen)
        for attempt in 1...3 {
            #expect(breaker.ask(now: start) == .go)
            #expect(breaker.attemptFailed(now: start, after: nil) == (attempt == 3))
        }
        return breaker
    }

    @Test func itOpensAfterSoManyFailuresInARowAndNotBefore() {
        var breaker = breaker()
        for _ in 0..<10 {
            #expect(breaker.attemptFailed(now: start, after: nil) == false)
            #expect(breaker.attemptFailed(now: start, after: nil) == false)
            breaker.attemptSucceeded()
        }
        #expect(breaker.isClosed)
        breaker = opened()
        #expect(breaker.state == .open(until: start + .seconds(10)))
    }

    @Test func whileOpenNobodyPassesAndAfterItsTimeOnlyAsManyAsConfigured() {
        var breaker = opened()
        #expect(breaker.ask(now: start + .seconds(9)) == .wait(until: start + .seconds(10)))
        let later = start + .seconds(10)
        #expect(breaker.ask(now: later) == .go)
        #expect(breaker.ask(now: later) == .go)
        #expect(breaker.ask(now: later) == .wait(until: nil))
    }

    @Test func itClosesAfterSoManySuccessesAndOpensAgainAtOneFailure() {
        var breaker = opened()
        let later = start + .seconds(10)
        #expect(breaker.ask(now: later) == .go)
        breaker.attemptSucceeded()
        #expect(breaker.state == .halfOpen(trying: 0, succeeded: 1))
        #expect(breaker.ask(now: later) == .go)
        #expect(breaker.ask(now: later) == .wait(until: nil))
        breaker.attemptSucceeded()
        #expect(breaker.state == .closed(failures: 0))

        breaker = opened()
        #expect(breaker.ask(now: later) == .go)
        #expect(breaker.attemptFailed(now: later, after: nil) == true)
        #expect(breaker.state == .open(until: later + .seconds(10)))
    }

    @Test func anAttemptThatWasBrokenOffGivesItsPlaceToAnother() {
        var breaker = opened(halfOpen: 1)
        let later = start + .seconds(10)
        #expect(breaker.ask(now: later) == .go)
        #expect(breaker.ask(now: later) == .wait(until: nil))
        breaker.attemptAbandoned()
        #expect(breaker.ask(now: later) == .go)
    }

    @Test func theDestinationsWishIsNotUndercut() {
        var breaker = breaker(threshold: 1)
        #expect(breaker.attemptFailed(now: start, after: .seconds(60)) == true)
        #expect(breaker.ask(now: start + .seconds(59)) == .wait(until: start + .seconds(60)))
        // An attempt from before it opened ends later; it does not shorten the time either.
        #expect(breaker.attemptFailed(now: start + .seconds(1), after: nil) == false)
        #expect(breaker.ask(now: start + .seconds(59)) == .wait(until: start + .seconds(60)))
    }

    @Test func aThresholdOfZeroSwitchesItOff() {
        var breaker = CircuitBreaker(config: .never)
        for _ in 0..<1_000 { #expect(breaker.attemptFailed(now: start, after: .seconds(60)) == false) }
        #expect(breaker.ask(now: start) == .go)
    }

    /// Whatever happens in whatever order, it never lets more through than configured while half open, and never stays shut.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
    func itNeverLetsTooManyThroughAndNeverLocksUp(seed: UInt64) {
        var random = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func below(_ bound: UInt64) -> UInt64 {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return random % bound
        }
        var breaker = breaker()
        var now = start
        var trying = 0
        for _ in 0..<10_000 {
            now += .milliseconds(Int64(below(3_000)))
            let wasClosed = breaker.isClosed
            switch below(4) {
            case 0, 1:
                if breaker.ask(now: now) == .go {
                    trying += 1
                    if case .halfOpen(let inside, let succeeded) = breaker.state { #expect(inside + succeeded <= 2) }
                } else {
                    #expect(!wasClosed)
                }
            case 2 where trying > 0:
                trying -= 1
                breaker.attemptSucceeded()
            case 3 where trying > 0:
                trying -= 1
                if below(5) == 0 { breaker.attemptAbandoned() } else { _ = breaker.attemptFailed(now: now, after: nil) }
            default: break
            }
        }
        // With all attempts ended and the time over, somebody passes.
        while trying > 0 {
            trying -= 1
            breaker.attemptAbandoned()
        }
        #expect(breaker.ask(now: now + .seconds(10)) == .go)
    }

    @Test func itsKeysAreReadAndNonsenseIsRefused() throws {
        let section = try ConfigSection(yaml: "{failure_threshold: 7, open_for: 1m, half_open_requests: 3}")
        let config = CircuitBreakerConfig(from: section)
        #expect(section.problemMessages == [])
        #expect(config.failureThreshold == 7 && config.openFor == .seconds(60) && config.halfOpenRequests == 3)
        let bad = try ConfigSection(yaml: "{failure_threshold: -1, open_for: 0s, half_open_requests: 0}")
        _ = CircuitBreakerConfig(from: bad)
        #expect(bad.problemMessages.count == 3)
    }
}
