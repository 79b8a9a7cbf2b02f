import Testing
@testable import Configuration

@Suite struct ConfigSectionTests {
    private enum Level: String, CaseIterable { case debug, info, warn }

    @Test func typedKeysAreReadWithTheirDefaults() throws {
        let section = try ConfigSection(
            yaml: """
                name: collector
                size: 8_192
                ratio: 12.5
                on: true
                wait: 1m30s
                level: WARN
                list: [a, b]
                headers: {x-one: "1", x-two: two}
                grpc:
                inner: {deep: 1}
                """)
        #expect(section.string("name") == "collector")
        #expect(section.int("size", default: 1, in: 1...10_000) == 8192)
        #expect(section.double("ratio", default: 0, in: 0...100) == 12.5)
        #expect(section.bool("on", default: false))
        #expect(section.duration("wait", default: .zero) == .seconds(90))
        #expect(section.choice("level", default: Level.info) == .warn)
        #expect(section.strings("list", default: []) == ["a", "b"])
        #expect(section.stringMap("headers").map(\.0) == ["x-one", "x-two"])
        #expect(section.section("grpc") != nil)
        #expect(section.section("http") == nil)
        #expect(section.section("inner")?.int("deep", default: 0, in: 0...9) == 1)
        #expect(section.string("absent", default: "x") == "x")
        #expect(section.int("none", default: 7, in: 0...9) == 7)
        section.finish()
        #expect(section.problemMessages == [])
    }

    @Test func unknownKeysAreReportedWithPlaceAndSuggestionAlsoInNestedSections() throws {
        let section = try ConfigSection(
            yaml: """
                endpont: localhost:1
                inner:
                  timout: 5s
                  zzz: 1
                """)
        _ = section.string("endpoint")
        _ = section.section("inner")?.duration("timeout", default: .zero)
        section.finish()
        #expect(
            section.problemMessages == [
                "test.yaml:1:1: test: unknown key 'endpont'; did you mean 'endpoint'?",
                "test.yaml:3:3: test.inner: unknown key 'timout'; did you mean 'timeout'?",
                "test.yaml:4:3: test.inner: unknown key 'zzz'",
            ])
    }

    @Test func wrongValuesAreAllReportedAndDefaultsReturned() throws {
        let section = try ConfigSection(
            yaml: """
                text: 12
                size: "12"
                big: 99
                flag: yes
                wait: 5
                level: warm
                list: {a: b}
                sub: [1]
                """)
        #expect(section.string("text") == nil)
        #expect(section.int("size", default: 3, in: 0...9) == 3)
        #expect(section.int("big", default: 3, in: 0...9) == 3)
        #expect(section.bool("flag", default: true))
        #expect(section.duration("wait", default: .seconds(1)) == .seconds(1))
        #expect(section.choice("level", default: Level.info) == .info)
        #expect(section.strings("list", default: ["d"]) == ["d"])
        #expect(section.section("sub") == nil)
        section.finish()
        #expect(
            section.problemMessages == [
                "test.yaml:1:7: test.text: expected a text, found a number (put it in quotes)",
                "test.yaml:2:1: test.size: expected a whole number, found '12'",
                "test.yaml:3:1: test.big: must be from 0 to 9",
                "test.yaml:4:1: test.flag: expected true or false, found 'yes'",
                "test.yaml:5:1: test.wait: expected a duration like 200ms, 5s or 1m30s, found 5",
                "test.yaml:6:1: test.level: 'warm' is not one of debug, info, warn; did you mean 'warn'?",
                "test.yaml:7:1: test.list: expected a list of texts, found a mapping",
                "test.yaml:8:1: test.sub: expected a mapping, found a list",
            ])
    }

    @Test func listedTextsKeepTheirCommasAndTheirPlaces() throws {
        let section = try ConfigSection(yaml: "many:\n  - 'a, b'\n  - c\none: 'a, b'\nwrong: {a: b}\nmixed: [a, [b]]")
        let many = section.listedTexts("many")
        #expect(many.map(\.text) == ["a, b", "c"] && many.map(\.path) == ["test.many[0]", "test.many[1]"])
        #expect(section.listedTexts("one").map(\.text) == ["a, b"])
        #expect(section.listedTexts("missing").isEmpty && section.problemMessages.isEmpty)
        section.problem("is odd", at: many[1])
        #expect(section.listedTexts("wrong").isEmpty)
        #expect(section.listedTexts("mixed").map(\.text) == ["a"])
        #expect(
            section.problemMessages == [
                "test.yaml:3:5: test.many[1]: is odd", "test.yaml:5:1: test.wrong: expected a list of texts, found a mapping",
                "test.yaml:6:12: test.mixed[1]: expected a text, found a list",
            ])
    }

    @Test func listsOfMappingsAreToldFromListsOfTexts() throws {
        let section = try ConfigSection(yaml: "texts: [a]\nmappings: [{a: b}]\nempty: []\nnone:")
        #expect(section.hasSections("mappings"))
        for key in ["texts", "empty", "none", "missing"] { #expect(!section.hasSections(key)) }
    }
}
