import Configuration
import Logging
import OTLPWire
import SelfTelemetry
import Testing

@testable import Pipeline
@testable import Sampling

/// A filter with somebody behind it.
private struct Filtering {
    let kept = KeptSpans()
    let registry = MetricRegistry()
    let processor: FilterProcessor
    let editsEvents: Bool

    init(_ yaml: String) throws {
        let section = try ConfigSection(yaml: yaml, path: "processors.filter")
        let config = FilterConfig(from: section)
        try #require(section.problemMessages.isEmpty, "\(section.problemMessages)")
        editsEvents = config.editsEvents
        processor = FilterProcessor(
            id: "filter", config: config, next: kept, registry: registry, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    func callAsFunction(_ spans: [TestSpan], resource: [(String, TestValue)] = []) throws -> [String] {
        kept.empty()
        let outcome = processor.consume(
            SpanBatch(try TestSpan.batch(spans, resource: resource, scope: ("lib", "1.2"))))
        guard outcome == .accepted else { return ["\(outcome)"] }
        return Self.names(kept.batches)
    }

    /// Span names, with those of their events.
    static func names(_ batches: [SpanBatch]) -> [String] {
        var names: [String] = []
        for batch in batches {
            batch.forEach { reference in
                let span = reference.span
                let events = (0..<span.eventCount).map { String(decoding: span.event(at: $0).name, as: UTF8.self) }
                names.append(([String(decoding: span.name, as: UTF8.self)] + events).joined(separator: " "))
            }
        }
        return names
    }

    func counts(_ name: String, _ value: Int, _ labels: String = "") -> Bool {
        registry.prometheusText().contains("\(name){filter=\"filter\"\(labels)} \(value)\n")
    }
}

@Suite struct FilterProcessorTests {
    static var spans: [TestSpan] {
        (0..<6).map { number in
            var span = TestSpan(spanID: UInt64(number + 1), name: "s\(number)")
            span.attributes = [("n", .int(Int64(number))), ("even", .bool(number.isMultiple(of: 2)))]
            span.status = number == 4 ? 2 : 0
            span.events = number == 5 ? [("keep", []), ("drop", [("level", .string("debug"))]), ("last", [])] : []
            return span
        }
    }

    static let filters: [(yaml: String, kept: [String])] = [
        ("traces: {span: ['attributes[\"n\"] == 2']}", ["s0", "s1", "s3", "s4", "s5 keep drop last"]),
        ("traces: {span: ['name == \"s0\"', 'attributes[\"n\"] > 2']}", ["s1", "s2"]),
        (
            "traces: {span: ['attributes[\"even\"]  == true and status.code != STATUS_CODE_ERROR']}",
            ["s1", "s3", "s4", "s5 keep drop last"]
        ),
        ("traces: {span: 'IsMatch(name, \"^s[0-4]$\")'}", ["s5 keep drop last"]),
        ("traces: {span: ['true']}", []),
        ("traces: {span: ['false']}", ["s0", "s1", "s2", "s3", "s4", "s5 keep drop last"]),
        ("traces: {span: ['attributes[\"missing\"] == 1', 'Len(events) == 3']}", ["s0", "s1", "s2", "s3", "s4"]),
        ("traces: {resource: ['attributes[\"service.name\"] == \"shop\"']}", []),
        ("traces: {resource: ['attributes[\"service.name\"] == \"other\"'], span: ['name != \"s1\"']}", ["s1"]),
        ("traces: {spanevent: ['name == \"drop\"']}", ["s0", "s1", "s2", "s3", "s4", "s5 keep last"]),
        (
            "traces: {spanevent: ['attributes[\"level\"] == nil and span.attributes[\"n\"] == 5']}",
            ["s0", "s1", "s2", "s3", "s4", "s5 drop"]
        ),
        ("traces: {spanevent: ['true'], span: ['name != \"s5\"']}", ["s5"]),
        (
            "traces: {spanevent: ['event_index == 0', 'time_unix_nano < span.start_time_unix_nano']}",
            ["s0", "s1", "s2", "s3", "s4", "s5 drop last"]
        ),
        (
            "trace_conditions: ['span.name == \"s0\"', 'scope.name == \"none\"', 'spanevent.name == \"last\"']",
            ["s1", "s2", "s3", "s4", "s5 keep drop"]
        ),
        (
            "trace_conditions: ['resource.attributes[\"service.name\"] == \"shop\" and span.attributes[\"n\"] < 4']",
            ["s4", "s5 keep drop last"]
        ),
        ("trace_conditions: ['resource.attributes[\"service.name\"] == \"shop\"']", []),
        ("trace_conditions: ['instrumentation_scope.version == \"1.2\"']", []),
        ("trace_conditions: ['IsRootSpan()']", []),
        (
            "trace_conditions: [{context: span, conditions: ['name == \"s1\"']}, {context: spanevent, conditions: ['name == \"keep\"']}]",
            ["s0", "s2", "s3", "s4", "s5 drop last"]
        ),
        ("trace_conditions: [{conditions: ['span.attributes[\"n\"] < 5'], error_mode: silent}]", ["s5 keep drop last"]),
    ]

    @Test("what any condition holds for is dropped, the rest stays in order", arguments: filters)
    func conditions(_ yaml: String, _ expected: [String]) throws {
        let filtering = try Filtering(yaml)
        #expect(try filtering(Self.spans, resource: [("service.name", .string("shop"))]) == expected)
        let events = expected.reduce(0) { $0 + $1.split(separator: " ").count - 1 }
        #expect(filtering.counts("otelcol_processor_filter_spans_filtered_total", 6 - expected.count))
        if expected.contains(where: { $0.hasPrefix("s5") }) {
            #expect(filtering.counts("collector_filter_events_filtered_total", 3 - events))
        }
        #expect(filtering.editsEvents == (yaml.contains("spanevent")))
    }

    @Test("spans keep the decision of the samplers before, and those in a row their slice")
    func slices() throws {
        let filtering = try Filtering("traces: {span: ['attributes[\"n\"] == 2']}")
        let batch = try TestSpan.batch(Self.spans)
        let decision = SamplingDecision(adjustedCount: 3, reason: "before")
        let whole = SpanSlice(batch)
        _ = filtering.processor.consume(SpanBatch(slices: [whole.part(0..<4, decision), whole.part(5..<6)]))
        let slices = filtering.kept.batches[0].slices
        #expect(slices.map(\.range) == [0..<2, 3..<4, 5..<6])
        #expect(slices[0].decision === decision && slices[1].decision === decision && slices[2].decision == nil)
        #expect(filtering.kept.spans.map(\.count) == [3, 3, 3, 1])
    }

    @Test("removed events take their bytes with them, and the links stay")
    func links() throws {
        let filtering = try Filtering("traces: {spanevent: ['IsMatch(name, \"^(keep|last)$\")']}")
        #expect(try filtering([Self.spans[5]]) == ["s5 drop"])
        let span = try #require(filtering.kept.batches.first?.slices.first?.batch[0])
        #expect(span.droppedEventsCount == 0 && span.linkCount == 0)
        #expect(span.event(at: 0).attributes.firstString("level").map { String(decoding: $0, as: UTF8.self) } == "debug")
    }

    // MARK: Failures

    private static let failing = "HasPrefix(attributes[\"n\"], \"x\")"

    @Test("a condition that fails does not hold, and the next one is asked", arguments: ["ignore", "silent"])
    func failures(_ mode: String) throws {
        for level in ["span", "spanevent"] {
            let failing = level == "span" ? Self.failing : "name - 1 == 0"
            let filtering = try Filtering("error_mode: \(mode)\ntraces: {\(level): ['\(failing)', 'name == \"s3\" or name == \"keep\"']}")
            let kept = try filtering(Self.spans)
            #expect(
                kept == (level == "span" ? ["s0", "s1", "s2", "s4", "s5 keep drop last"] : ["s0", "s1", "s2", "s3", "s4", "s5 drop last"]))
            let count = level == "span" ? 6 : 3
            #expect(filtering.counts("collector_filter_condition_failures_total", count, ",error_mode=\"\(mode)\""))
        }
    }

    @Test("with propagate a request for which a condition fails is refused whole", arguments: ["span", "spanevent", "resource"])
    func propagate(_ level: String) throws {
        let failing = ["span": Self.failing, "spanevent": "name - 1 == 0", "resource": "attributes[\"n\"] / 0 == 1"][level] ?? ""
        let filtering = try Filtering("error_mode: propagate\ntraces: {\(level): ['\(failing)']}")
        let batch = SpanBatch(try TestSpan.batch(Self.spans, resource: [("n", .int(1))]))
        #expect(filtering.processor.consume(batch) == .permanent(.conditionFailed))
        #expect(filtering.kept.batches.isEmpty)
        #expect(filtering.counts("otelcol_processor_filter_spans_filtered_total", 0))
        #expect(filtering.counts("collector_filter_condition_failures_total", 1, ",error_mode=\"propagate\""))
    }

    @Test("what short-circuits does not fail")
    func shortCircuit() throws {
        let filtering = try Filtering("error_mode: propagate\ntraces: {span: ['true or \(Self.failing)']}")
        #expect(try filtering(Self.spans) == [])
    }

    @Test("a batch that is refused behind is not counted, and a batch of which nothing is kept is let go")
    func outcomes() throws {
        let filtering = try Filtering("traces: {span: ['attributes[\"n\"] == 2']}")
        let refusal = Outcome.retryable(.queueFull, after: nil)
        filtering.kept.refuse(refusal)
        #expect(filtering.processor.admission == refusal)
        #expect(filtering.processor.consume(SpanBatch(try TestSpan.batch(Self.spans))) == refusal)
        #expect(filtering.counts("otelcol_processor_filter_spans_filtered_total", 0))
        #expect(filtering.processor.consume(SpanBatch(try TestSpan.batch([Self.spans[2]]))) == .accepted)
        #expect(filtering.kept.batches.isEmpty)
        #expect(filtering.counts("otelcol_processor_filter_spans_filtered_total", 1))
    }

    // MARK: Configuration

    @Test("errors are ignored unless the configuration says otherwise, as in the contrib")
    func defaults() throws {
        let section = try ConfigSection(yaml: "traces: {span: ['true']}")
        #expect(FilterConfig(from: section).groups.map(\.errorMode) == [.ignore])
    }

    @Test("what print-config shows, empty lists included, is read as it was written")
    func emptyLists() throws {
        let section = try ConfigSection(yaml: "traces: {resource: [], span: ['true'], spanevent: []}\ntrace_conditions: []")
        #expect(FilterConfig(from: section).groups.count == 1 && section.problemMessages.isEmpty)
    }

    @Test(
        "problems have the place in the file and the column in the condition",
        arguments: [
            (
                "traces:\n  span:\n    - 'true'\n    - 'nmae == 1'",
                "4:7: test.traces.span[1]: column 1: unknown path nmae; did you mean 'name'?"
            ),
            ("traces:\n  spanevent:\n    - 'span.name == (1'", "3:7: test.traces.spanevent[0]: column 16: expected ')', found the end"),
            (
                "trace_conditions: ['name == \"x\"']",
                "1:20: test.trace_conditions[0]: column 1: the path name does not say whose it is; write span.name"
            ),
            (
                "trace_conditions:\n- context: span\n  conditions: ['Foo(name)']",
                "3:16: test.trace_conditions[0].conditions[0]: column 1: unknown function Foo"
            ),
            ("traces: {resource: ['span.name == \"x\"']}", "1:21: test.traces.resource[0]: column 1: unknown path span.name"),
            ("traces: {span: ['true']}\ntrace_conditions: ['true']", "2:1: test.trace_conditions: cannot be used together"),
            ("error_mode: loud\ntraces: {span: ['true']}", "1:1: test.error_mode: 'loud' is not one of ignore, silent, propagate"),
            ("spans: {exclude: {match_type: strict, services: [a]}}", "1:1: test.spans: include and exclude are not there any more"),
            ("metrics: {metric: ['true']}\ntraces: {span: ['true']}", "1:1: test.metrics: is not for traces"),
            ("error_mode: ignore", "1:1: test: a condition is needed"), ("traces: {span: []}", "1:1: test: a condition is needed"),
            ("traces: {spans: ['true'], spanevent: ['true']}", "1:10: test.traces: unknown key 'spans'; did you mean 'span'?"),
            ("trace_conditions: [{context: log, conditions: ['true']}]", "1:21: test.trace_conditions[0].context: 'log' is not one of"),
            ("traces: {span: {a: b}, resource: ['true']}", "1:10: test.traces.span: expected a list of texts"),
        ])
    func problems(_ yaml: String, _ message: String) throws {
        let section = try ConfigSection(yaml: yaml)
        _ = FilterConfig(from: section)
        #expect(section.problemMessages.count == 1, "\(section.problemMessages)")
        #expect(section.problemMessages.first?.hasPrefix("test.yaml:" + message) == true, "\(section.problemMessages)")
    }
}
