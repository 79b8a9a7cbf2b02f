import Glibc
import Testing
@testable import Collector

@Suite struct SignalsTests {
    @Test func theFirstStopSignalStopsInOrderAndAnyFurtherOneAtOnce() {
        var interpreter = Signals.Interpreter()
        #expect(interpreter.event(SIGTERM) == .stop)
        #expect(interpreter.event(SIGINT) == .stopNow)
        #expect(interpreter.event(SIGTERM) == .stopNow)
    }

    @Test func hangUpIsAReloadAtAnyTimeAndNeverAStop() {
        var interpreter = Signals.Interpreter()
        #expect(interpreter.event(SIGHUP) == .reload)
        #expect(interpreter.event(SIGHUP) == .reload)
        #expect(interpreter.event(SIGINT) == .stop)
        #expect(interpreter.event(SIGHUP) == .reload)
    }
}
