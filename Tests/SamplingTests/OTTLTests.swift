import OTLPWire
import Testing

@testable import Sampling

@Suite struct OTTLTests {
    static func condition(_ text: String, onEvents: Bool = false) throws(OTTLError) -> OTTLCondition {
        try OTTLCondition(text, onEvents: onEvents)
    }

    static var span: TestSpan {
        var span = TestSpan(name: "GET /users", kind: 2, traceState: "ot=th:8, vendor=x", flags: 257, status: 2, statusMessage: "boom")
        span.parent = 7
        span.attributes = [
            ("http.method", .string("GET")), ("count", .int(42)), ("ratio", .double(0.5)), ("ok", .bool(true)), ("empty", .string("")),
            ("tags", .list([.string("a"), .int(2)])), ("nested", .map(["inner": .map(["leaf": .int(9)])])), ("number", .string("17")),
            ("raw", .bytes([1, 2])),
        ]
        span.events = [("exception", [("exception.type", .string("Timeout"))]), ("note", [])]
        return span
    }

    static let held: [String] = [
        "true", "not false", "name == \"GET /users\"", "name != \"x\"", "kind == SPAN_KIND_SERVER", "kind == 2",
        "kind.string == \"Server\"",
        "status.code == STATUS_CODE_ERROR", "status.message == \"boom\"", "attributes[\"http.method\"] == \"GET\"",
        "span.attributes[\"count\"] > 41", "attributes[\"count\"] >= 42.0", "attributes[\"count\"] < 42.5", "attributes[\"ratio\"] == 0.5",
        "attributes[\"ok\"] == true", "attributes[\"missing\"] == nil", "attributes[\"empty\"] != nil", "attributes[\"empty\"] == \"\"",
        "attributes[\"tags\"][0] == \"a\"", "attributes[\"tags\"][1] == 2", "attributes[\"tags\"][9] == nil",
        "attributes[\"nested\"][\"inner\"][\"leaf\"] == 9", "resource.attributes[\"service.name\"] == \"shop\"",
        "instrumentation_scope.name == \"lib\" and instrumentation_scope.version == \"1.2\"", "scope.name == \"lib\"",
        "end_time_unix_nano - start_time_unix_nano > 99000000", "end_time - start_time == Duration(\"100ms\")",
        "(end_time_unix_nano - start_time_unix_nano) / 1000000 == 100", "2 + 3 * 4 == 14", "(2 + 3) * 4 == 20", "-1 < 0", "1 - -1 == 2",
        "10 / 4 == 2", "10 / 4.0 == 2.5", "IsMatch(name, \"^GET\")", "IsMatch(attributes[\"count\"], \"42\")",
        "not IsMatch(attributes[\"missing\"], \"\")", "HasPrefix(name, \"GET\")", "HasSuffix(name, \"users\")", "Contains(name, \"/us\")",
        "not Contains(name, \"/usx\")", "Contains(name, \"\")", "IsString(name)", "not IsString(attributes[\"count\"])",
        "IsInt(attributes[\"count\"])", "IsDouble(attributes[\"ratio\"])", "IsBool(attributes[\"ok\"])", "IsMap(attributes[\"nested\"])",
        "IsList(attributes[\"tags\"])", "Len(name) == 10", "Len(attributes[\"tags\"]) == 2", "Len(attributes) == 9",
        "Int(attributes[\"number\"]) == 17", "Int(attributes[\"ratio\"]) == 0", "Int(name) == nil",
        "Double(attributes[\"number\"]) == 17.0",
        "String(attributes[\"count\"]) == \"42\"", "ToLowerCase(name) == \"get /users\"", "not IsRootSpan()",
        "trace_id.string == \"0102030405060708090a0b0c0d0e0f10\"", "trace_id == TraceID(0x0102030405060708090a0b0c0d0e0f10)",
        "span_id == SpanID(\"0000000000000001\")", "span_id.string == \"0000000000000001\"",
        "parent_span_id.string == \"0000000000000007\"",
        "attributes[\"raw\"] == 0x0102", "trace_state[\"vendor\"] == \"x\"", "trace_state[\"ot\"] == \"th:8\"",
        "trace_state[\"no\"] == nil",
        "flags == 257", "dropped_attributes_count == 0", "true or false and false", "not (true and false)", "not false and true",
        "name == \"GET \\u002fusers\" or name == \"GET /users\"", "attributes[\"count\"] != \"42\"", "name > \"GET\"",
        "name <= \"GET /users\"", "Len(events) == 2", "Len(links) == 0", "events != nil", "IsList(events)",
        "Milliseconds(end_time - start_time) == 100", "Seconds(end_time - start_time) == 0.1", "Nanoseconds(Duration(\"1us\")) == 1000",
        "Minutes(Duration(\"90s\")) == 1.5", "Hours(Duration(\"90m\")) == 1.5", "Microseconds(Duration(\"1.5ms\")) == 1500",
        "UnixSeconds(start_time) == 1700000000", "UnixMilli(start_time) == 1700000000000", "UnixNano(start_time) == start_time_unix_nano",
        "UnixMicro(start_time) == 1700000000000000", "ToUpperCase(name) == \"GET /USERS\"", "Substring(name, 4, 6) == \"/users\"",
        "ContainsValue(attributes[\"tags\"], \"a\")", "ContainsValue(attributes[\"tags\"], 2)",
        "not ContainsValue(attributes[\"tags\"], 3)", "resource.schema_url == \"\"", "resource.dropped_attributes_count == 0",
        "scope.schema_url == \"\"", "instrumentation_scope.dropped_attributes_count == 0", "attributes[\"no\"][\"such\"] == nil",
        "attributes[\"nested\"][\"inner\"] != nil", "Len(attributes[\"nested\"][\"inner\"]) == 1", "span.kind == SPAN_KIND_SERVER",
        "span.status.code != STATUS_CODE_UNSET and STATUS_CODE_OK == 1", "SPAN_KIND_UNSPECIFIED < SPAN_KIND_INTERNAL",
        "SPAN_KIND_CLIENT + SPAN_KIND_PRODUCER + SPAN_KIND_CONSUMER == 12", "dropped_events_count + dropped_links_count == 0",
    ]

    @Test("holds for a span of which it says the truth", arguments: held)
    func holds(_ text: String) throws {
        let batch = try TestSpan.batch([Self.span], resource: [("service.name", .string("shop"))], scope: ("lib", "1.2"))
        #expect(try Self.condition(text).holds(for: batch[0]))
        #expect(try !Self.condition("not (\(text))").holds(for: batch[0]))
    }

    @Test("values of kinds that cannot be compared are unequal and in no order", arguments: ["==", "<", "<=", ">", ">="])
    func incomparable(_ comparison: String) throws {
        let batch = try TestSpan.batch([Self.span])
        for text in ["name \(comparison) 1", "attributes[\"ok\"] \(comparison) \"true\"", "attributes[\"tags\"] \(comparison) 2"] {
            #expect(try !Self.condition(text).holds(for: batch[0]))
        }
        #expect(try !Self.condition("attributes[\"missing\"] \(comparison) 0").holds(for: batch[0]))
    }

    @Test("a condition on events reads the event by bare names and its span by span.")
    func events() throws {
        let batch = try TestSpan.batch([Self.span])
        let event = batch[0].event(at: 0)
        for text in [
            "name == \"exception\"", "attributes[\"exception.type\"] == \"Timeout\"", "span.name == \"GET /users\"", "event_index == 0",
            "spanevent.name == \"exception\"", "time_unix_nano - span.start_time_unix_nano == 5",
        ] {
            #expect(try Self.condition(text, onEvents: true).holds(for: event, at: 0, of: batch[0]), "\(text)")
        }
        #expect(try !Self.condition("name == \"exception\"", onEvents: true).holds(for: batch[0].event(at: 1), at: 1, of: batch[0]))
    }

    @Test(
        "what cannot be computed is a failure and no answer",
        arguments: [
            ("name + 1 == 2", OTTLFailure.wrongType), ("1 / 0 == 1", .divisionByZero), ("9223372036854775807 + 1 > 0", .overflow),
            ("HasPrefix(attributes[\"count\"], \"4\")", .wrongType), ("HasPrefix(attributes[\"missing\"], \"4\")", .wrongType),
            ("not Contains(attributes[\"missing\"], \"4\")", .wrongType), ("Substring(name, 4, 7) == \"\"", .outOfRange),
            ("Substring(name, -1, 2) == \"\"", .outOfRange), ("Substring(name, 9223372036854775807, 2) == \"\"", .outOfRange),
            ("ContainsValue(name, \"G\")", .wrongType), ("Seconds(name) == 1", .wrongType), ("-attributes[\"missing\"] == 1", .wrongType),
            ("attributes[\"missing\"] + 1 == 1", .wrongType), ("ToUpperCase(kind) == \"\"", .wrongType),
            ("Len(attributes[\"count\"]) == 2", .wrongType),
        ])
    func failures(_ text: String, _ failure: OTTLFailure) throws {
        let batch = try TestSpan.batch([Self.span])
        #expect(throws: failure) { try Self.condition(text).holds(for: batch[0]) }
    }

    @Test(
        "an error says where it is",
        arguments: [
            ("", 1, "a value"), ("name", 1, "compare it"), ("name ==", 8, "a value"), ("name = \"x\"", 6, "equality is =="),
            ("name == 'x'", 9, "double quotes"), ("nmae == \"x\"", 1, "unknown path nmae"), ("name == \"x", 9, "not closed"),
            ("name == \"x\" and", 16, "a value"), ("(name == \"x\"", 13, "')'"), ("attributes[k] == 1", 12, "double quotes"),
            ("name[\"k\"] == 1", 5, "no keys"), ("Foo(name)", 1, "unknown function Foo"), ("Len(name, name) == 1", 1, "takes 1 argument"),
            ("IsMatch(name, \"(\")", 15, "missing )"), ("IsMatch(name, name)", 15, "string in double quotes"),
            ("kind == SPAN_KIND_X", 9, "unknown enum"), ("1 == 99999999999999999999", 6, "fits"), ("0x123 == 1", 1, "even number"),
            ("true == true or (name == \"a\") == 1", 17, "cannot be compared"), ("Duration(\"5 apples\") == 1", 10, "250ms"),
            ("spanevent.name == \"x\"", 1, "unknown path"), ("name == \"x\" name", 13, "operator or the end"),
            ("true ~ false", 6, "unexpected character"),
        ])
    func errors(_ text: String, _ column: Int, _ part: String) {
        do {
            _ = try Self.condition(text)
            Issue.record("no error for \(text)")
        } catch {
            #expect(error.column == column, "\(text): \(error)")
            #expect(error.message.contains(part), "\(text): \(error)")
        }
    }

    @Test("deep nesting and long texts are refused, not a crash")
    func limits() {
        #expect(throws: OTTLError.self) { try Self.condition(String(repeating: "(", count: 10_000) + "true") }
        #expect(throws: OTTLError.self) { try Self.condition(String(repeating: "not ", count: 4_000) + "true") }
        #expect(throws: OTTLError.self) { try Self.condition("1 == " + String(repeating: "-", count: 10_000) + "1") }
        #expect(throws: OTTLError.self) { try Self.condition(String(repeating: "true or ", count: 10_000) + "true") }
    }

    @Test("random texts end in a condition or an error")
    func garbage() {
        var random = SystemRandomNumberGenerator()
        let pieces = [
            "name", "attributes", "[\"k\"]", "==", "and", "or", "not", "(", ")", "1", "2.5", "\"s\"", "nil", "Len", "IsMatch", ",", ".",
            "-", "*",
            "0x01", "true", "kind", " ", "\\", "é", "status.code", "STATUS_CODE_OK",
        ]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...12, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined(
                separator: " ")
            do throws(OTTLError) {
                _ = try Self.condition(text)
            } catch {
                #expect(error.column >= 1 && error.column <= text.count + 1)
            }
        }
    }
}
