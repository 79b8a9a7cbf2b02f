import Testing
@testable import Configuration

@Suite struct YAMLReaderTests {
    private func value(_ plain: String) throws -> String {
        let node = try YAMLReader.read("key: \(plain)", file: "f")
        guard case .mapping(let entries) = node.content, let value = entries.first?.value else { return "no mapping" }
        return "\(value.content)"
    }

    @Test(arguments: [
        ("12", "int(12)"), ("-3", "int(-3)"), ("0x1F", "int(31)"), ("0o17", "int(15)"), ("017", "int(15)"), ("1_000", "int(1000)"),
        ("1.5", "double(1.5)"), ("1e3", "double(1000.0)"), ("true", "bool(true)"), ("False", "bool(false)"), ("", "null"), ("~", "null"),
        ("yes", "string(\"yes\")"), ("\"12\"", "string(\"12\")"), ("'true'", "string(\"true\")"), ("!!str 12", "string(\"12\")"),
        ("!!int \"12\"", "int(12)"), ("5s", "string(\"5s\")"), ("099", "double(99.0)"), ("0x", "string(\"0x\")"), ("+", "string(\"+\")"),
        ("0-1", "string(\"0-1\")"), ("99999999999999999999", "double(1e+20)"), ("nan", "string(\"nan\")"), (".nan", "double(nan)"),
        ("localhost:4317", "string(\"localhost:4317\")"),
    ])
    func plainScalarsTakeTheTypesOfTheGoCollector(_ text: String, _ expected: String) throws {
        #expect(try value(text) == expected)
    }

    @Test func aByteOrderMarkAndWindowsLineEndsChangeNothing() {
        let windows = "\u{FEFF}" + minimal.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n")
        #expect(TestCatalogue.messages(windows) == [])
    }

    @Test func anchorsAndMergeKeysAreResolvedAndOwnKeysWin() throws {
        let document = try TestCatalogue.load([("c.yaml", """
            exporters:
              timescaledb: &base
                dsn: one
                schema: s1
              timescaledb/eu:
                <<: *base
                dsn: two
            receivers: {otlp: {protocols: {grpc: }}}
            service:
              pipelines:
                traces: {receivers: &r [otlp], exporters: [timescaledb]}
                traces/eu: {receivers: *r, exporters: [timescaledb/eu]}
            """)])
        let eu = try #require(document.component(.exporters, ComponentID(type: "timescaledb", name: "eu")))
        #expect(eu.section.string("dsn") == "two")
        #expect(eu.section.string("schema") == "s1")
    }

    @Test func problemsPointAtTheLineInAFileWithWindowsLineEnds() {
        #expect(TestCatalogue.messages("receivers:\r\n  otlp:\r\n    x: 1\r\n: :\r\n").first?.hasPrefix("collector.yaml:4:") == true)
    }
}
