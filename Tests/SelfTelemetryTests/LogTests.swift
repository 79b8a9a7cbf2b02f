import Glibc
import Logging
import Synchronization
import Testing
@testable import SelfTelemetry

/// A pipe for log output; the test reads what was written.
final class LogPipe: Sendable {
    let reader: Int32
    let writer: Int32

    init() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        close(reader)
        close(writer)
    }

    /// What can be read now, at most `max` bytes.
    func read(max: Int = 1 << 20) -> String {
        var bytes = [UInt8](repeating: 0, count: max)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(reader, $0.baseAddress, $0.count) }
        return String(decoding: bytes.prefix(Swift.max(0, count)), as: UTF8.self)
    }
}

@Suite struct LogLineTests {
    private func line(_ message: String, _ fields: [(key: String, value: String)] = [], level: Logger.Level = .info) -> LogLine {
        LogLine(
            time: timespec(tv_sec: 1_717_236_610, tv_nsec: 7_999_999), level: level, logger: "exporters.sqlite", message: message,
            fields: fields)
    }

    @Test func consoleLinesAreTimeLevelLoggerMessageAndPairs() {
        let text = line("batch written", [("rows", "12"), ("why", "a b")], level: .warning).text(.console)
        #expect(text == "2024-06-01T10:10:10.007Z\twarn\texporters.sqlite\tbatch written\trows=12 why=\"a b\"")
    }

    @Test func jsonLinesHaveTheKeysOfTheGoCollector() {
        let text = line("a \"b\"", [("k", "v\\")], level: .critical).text(.json)
        #expect(text == #"{"level":"error","ts":"2024-06-01T10:10:10.007Z","logger":"exporters.sqlite","msg":"a \"b\"","k":"v\\"}"#)
    }

    @Test(arguments: LogEncoding.allCases)
    func noTextCanBeginALineOfItsOwnOrDriveATerminal(_ encoding: LogEncoding) {
        let text = line("a\nb\r\u{1B}[31m\u{2028}", [("k\n", "v\n\u{0}\u{9B}")]).text(encoding)
        let harmless = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) || $0 == "\t" }
        #expect(harmless)
        #expect(text.contains("\\n") && text.contains("\\u001b") && text.contains("\\u0000"))
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_400, "2000-02-29T00:00:00.000Z"), (4_102_444_799, "2099-12-31T23:59:59.000Z"),
    ])
    func timesAreRFC3339(_ seconds: Int, _ expected: String) {
        #expect(LogLine.timestamp(timespec(tv_sec: seconds, tv_nsec: 0)) == expected)
    }
}

@Suite struct LogHandlerTests {
    @Test func levelAndMetadataAreValuesOfEachLogger() throws {
        let pipe = try LogPipe()
        let output = LogOutput(encoding: .json, descriptor: pipe.writer)
        let first = LoggerFactory(level: .info, output: output).logger("one")
        var second = first
        second[metadataKey: "only"] = "second"
        second.logLevel = .debug
        first.debug("hidden")
        first.info("shown", metadata: ["b": "2", "a": "1"])
        second.debug("also shown")
        output.flush()
        let lines = pipe.read().split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first?.hasSuffix(#""logger":"one","msg":"shown","a":"1","b":"2"}"#) == true)
        #expect(lines.last?.hasSuffix(#""msg":"also shown","only":"second"}"#) == true)
    }

    @Test func aReaderThatStopsBlocksNobodyAndTheLossIsSaid() throws {
        let pipe = try LogPipe()
        let output = LogOutput(encoding: .console, descriptor: pipe.writer)
        let log = LoggerFactory(level: .info, output: output).logger("x")
        let text = String(repeating: "x", count: 1000)
        // The pipe takes 64 KiB, the queue and the writer about 1 MiB each: most of 10 MB is dropped, and every call returns.
        for _ in 0..<10_000 { log.info("\(text)") }
        var received = ""
        while !received.contains("log lines were dropped") { received += pipe.read() }
        #expect(received.utf8.count < 4 * LogOutput.pendingBytesMax)
    }

    @Test func aClosedReaderEndsNothing() throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        let output = LogOutput(encoding: .console, descriptor: ends[1])
        LoggerFactory(level: .info, output: output).logger("x").info("to nobody")
        output.flush()
        close(ends[1])
    }
}

@Suite struct InternalEventTests {
    private func event(_ pipe: LogPipe) -> (InternalEvent, LogOutput) {
        let output = LogOutput(encoding: .console, descriptor: pipe.writer)
        let log = LoggerFactory(level: .info, output: output).logger("x")
        return (InternalEvent(counter: Counter(), logger: log, level: .error, message: "rows were refused"), output)
    }

    @Test func everyOccurrenceIsCountedAndOneLinePerIntervalIsWritten() throws {
        let pipe = try LogPipe()
        let (event, output) = event(pipe)
        let start = ContinuousClock.now
        for _ in 0..<1000 { event.emit(2, now: start) }
        event.emit(5, now: start + InternalEvent.intervalDefault)
        output.flush()
        let lines = pipe.read().split(separator: "\n")
        #expect(event.counter.value == 2005)
        #expect(lines.map { $0.split(separator: "\t").last } == ["count=2", "count=2003"])
    }

    @Test func metadataIsMadeOnlyForLinesThatAreWritten() throws {
        let pipe = try LogPipe()
        let (event, output) = event(pipe)
        let made = Counter()
        func metadata() -> Logger.Metadata {
            made.add()
            return [:]
        }
        let now = ContinuousClock.now
        for _ in 0..<10 { event.emit(now: now, metadata: metadata()) }
        output.flush()
        #expect(made.value == 1)
    }
}
