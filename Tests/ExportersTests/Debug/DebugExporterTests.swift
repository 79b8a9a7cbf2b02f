import Configuration
import Glibc
import OTLPWire
import Pipeline
import SelfTelemetry
import Testing
@testable import Exporters

@Suite struct DebugExporterTests {
    private let registry = MetricRegistry()

    /// What the exporter writes for `batches`.
    private func output(_ batches: [SpanBatch], _ change: (inout DebugConfig) -> Void) async throws -> String {
        var config = DebugConfig()
        change(&config)
        let file = try #require(tmpfile())
        defer { fclose(file) }
        let exporter = DebugExporter(
            id: "debug", config: config, registry: registry, logger: SQLiteFixture.quiet, descriptor: fileno(file))
        try await exporter.start()
        for batch in batches { #expect(exporter.consume(batch) == .accepted) }
        await exporter.shutdown(deadline: .now + .seconds(30))
        let size = lseek(fileno(file), 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: Int(size))
        #expect(pread(fileno(file), &bytes, bytes.count, 0) == bytes.count)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func basicShowsCountsAndNoData() async throws {
        var batch = try Sample.batch(Sample.spans(0..<3))
        batch.append(try Sample.batch(Sample.spans(3..<4), resource: [("secret", .text("s3cret"))]))
        #expect(try await output([batch]) { $0.useInternalLogger = false } == "Traces\tresource spans=2\tspans=4\n")
        #expect(try await output([batch]) { $0.useInternalLogger = true } == "")
    }

    @Test func normalShowsALinePerSpan() async throws {
        let span = Sample.span(attributes: [
            ("n", .int(7)), ("text", .text("a b")), ("list", .array([.bool(true), .text("x")])), ("none", .absent),
        ])
        let text = try await output([try Sample.batch([span, span])]) { $0.verbosity = .normal }
        let line = #"GET /orders 101112131415161718191a1b1c1d1e1f 0100000000000001 n=7 text=a b list=[true,"x"] none="# + "\n"
        #expect(text == line + line)
    }

    @Test func jsonIsALineOfOTLPForEachBatchThatReadsBackTheSame() async throws {
        let first = try Sample.batch(Sample.spans(0..<300))
        let second = try Sample.batch(Sample.spans(300..<301))
        let lines = try await output([first, second]) { $0.format = .json }.split(separator: "\n")
        #expect(lines.count == 2)
        for (line, batch) in zip(lines, [first, second]) {
            var protobuf = OutputBuffer()
            try Array(line.utf8).withUnsafeBytes { try JSONTranscoder().transcodeTraces($0, into: &protobuf) }
            let read = try protobuf.withBytes { try TraceBatch.decode($0, receivedUnixNano: 0) }
            #expect(read.spanCount == batch.itemCount)
            var expected: [TraceID] = []
            batch.forEach { expected.append($0.span.traceID) }
            #expect((0..<read.spanCount).map { read[$0].traceID } == expected)
        }
    }

    @Test func detailedShowsEveryField() async throws {
        var span = Sample.span(attributes: [("d", .double(0.5)), ("b", .bytes([1]))])
        span.parentSpanID = Array(repeating: 2, count: 8)
        span.traceState = Array("a=b".utf8)
        span.flags = 257
        span.statusCode = 2
        span.statusMessage = Array("broken".utf8)
        span.events = [ModelEvent(time: Sample.start, name: Array("first".utf8), attributes: [ModelAttribute("e", .int(1))], dropped: 3)]
        span.links = [ModelLink(traceID: [1], spanID: [2], attributes: [ModelAttribute("l", .bool(false))])]
        (span.droppedAttributes, span.droppedEvents, span.droppedLinks) = (4, 5, 6)
        let text = try await output([try Sample.batch([span], resource: [("service.name", .text("shop"))])]) { $0.verbosity = .detailed }
        #expect(text == """
            ResourceSpans #0
            Resource SchemaURL: https://opentelemetry.io/schemas/1.26.0
            Resource attributes:
                 -> service.name: Str(shop)
            ScopeSpans #0
            ScopeSpans SchemaURL:\(" ")
            InstrumentationScope http 1.2
            Span #0
                Trace ID       : 101112131415161718191a1b1c1d1e1f
                Parent ID      : 0202020202020202
                ID             : 0100000000000001
                Name           : GET /orders
                Kind           : Server
                TraceState     : a=b
                Start time     : 2026-01-02 03:04:05.123456789 +0000 UTC
                End time       : 2026-01-02 03:04:05.135956789 +0000 UTC
                Status code    : Error
                Status message : broken
                Flags          : 257
                DroppedAttributesCount: 4
            Attributes:
                 -> d: Double(0.5)
                 -> b: Bytes(AQ==)
            Events:
            SpanEvent #0
                 -> Name: first
                 -> Timestamp: 2026-01-02 03:04:05.123456789 +0000 UTC
                 -> DroppedAttributesCount: 3
                      -> e: Int(1)
                DroppedEventsCount: 5
            Links:
            SpanLink #0
                 -> Trace ID: 01
                 -> ID: 02
                 -> TraceState:\(" ")
                 -> Flags: 0
                      -> l: Bool(false)
                DroppedLinksCount: 6

            """)
    }

    @Test func headingsComeWithEachNewResourceAndScope() async throws {
        var batch = try Sample.batch(Sample.spans(0..<2))
        batch.append(try Sample.batch(Sample.spans(2..<3), scope: ("other", "")))
        let text = try await output([batch]) { $0.verbosity = .detailed }
        let headings = text.split(separator: "\n").filter { $0.contains(" #") }
        #expect(headings == [
            "ResourceSpans #0", "ScopeSpans #0", "Span #0", "Span #1", "ResourceSpans #1", "ScopeSpans #0", "Span #0",
        ])
    }

    @Test func noSpanCanSendControlCharactersToTheTerminal() async throws {
        var span = Sample.span(attributes: [("k\r", .array([.string([0x1B, 0xC2, 0x9B])]))])
        span.name = Array("a\u{1B}[2J\nb\u{7F}\u{9B}é".utf8) + [0xFF]
        for verbosity in [DebugConfig.Verbosity.normal, .detailed] {
            let text = try await output([try Sample.batch([span])]) { $0.verbosity = verbosity }
            #expect(text.contains(#"a\x1b[2J\x0ab\x7f\u009bé"# + "\u{FFFD}"))
            #expect(text.contains(#"k\x0d"#) && text.contains(#"["\u001b\u009b"]"#))
            #expect(!text.unicodeScalars.contains { $0 != "\n" && $0.properties.generalCategory == .control })
        }
    }

    @Test func aReaderThatStopsReadingHoldsNobodyUpAndShutdownEndsAtItsDeadline() async throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        var config = DebugConfig()
        config.verbosity = .detailed
        let exporter = DebugExporter(
            id: "debug", config: config, registry: registry, logger: SQLiteFixture.quiet, descriptor: ends[1])
        try await exporter.start()
        let batch = try Sample.batch(Sample.spans(0..<1_000))
        for _ in 0..<1_000 {
            #expect(exporter.admission == .accepted)
            #expect(exporter.consume(batch) == .accepted)
        }
        let start = ContinuousClock.now
        await exporter.shutdown(deadline: start + .milliseconds(10))
        #expect(ContinuousClock.now - start < .seconds(15))
    }

    @Test func theFirstBatchesOfASecondAreShownAndThenEachSoManyth() {
        let start = ContinuousClock.now
        func shown(_ initial: Int, _ thereafter: Int) -> [Int] {
            var sampler = DebugSampler(initial: initial, thereafter: thereafter)
            return (1...12).filter { sampler.shows(now: start + .milliseconds($0)) }
        }
        #expect(shown(2, 1) == Array(1...12))
        #expect(shown(2, 5) == [1, 2, 7, 12])
        #expect(shown(3, 0) == [1, 2, 3])
        var sampler = DebugSampler(initial: 1, thereafter: 0)
        #expect([0, 1, 999, 1_000, 1_001, 2_500].filter { sampler.shows(now: start + .milliseconds($0)) } == [0, 1_000, 2_500])
    }

    @Test func keysOfTheGoCollectorAreRead() throws {
        let section = try ConfigSection(
            yaml: "{verbosity: Detailed, sampling_initial: 5, sampling_thereafter: 200, use_internal_logger: false}")
        let config = DebugConfig(from: section)
        #expect(section.problemMessages == [])
        #expect(config.verbosity == .detailed && config.samplingInitial == 5 && config.samplingThereafter == 200)
        #expect(!config.useInternalLogger)
        #expect(DebugConfig(from: try ConfigSection(yaml: "")) == DebugConfig())
        let wrong = try ConfigSection(yaml: "verbosity: loud")
        _ = DebugConfig(from: wrong)
        #expect(wrong.problemMessages.count == 1)
    }
}
