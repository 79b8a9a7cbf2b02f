import Glibc
import Testing
@testable import Configuration

@Suite struct ExpansionTests {
    private let environment = [
        "HOST": "db.example", "PORT": "5432", "ZERO": "0123", "DOLLAR": "pa$$w${HOST}rd", "LIST": "[a, b]", "EMPTY": "", "FLAG": "true",
        "COMMENT": "abc #def", "BROKEN": "{[", "QUOTED": "\"q\"", "MAP": "{deep: 7}",
    ]

    private func section(_ yaml: String) throws -> ConfigSection {
        let problems = ProblemList()
        let node = try YAMLReader.read(yaml, file: "f.yaml")
        let expanded = Expansion(environment: { environment[$0] }, problems: problems).expand(node)
        guard case .mapping(let entries) = expanded.content else { throw ConfigurationError(problems: []) }
        return ConfigSection(path: "x", location: node.location, entries: entries, problems: problems)
    }

    @Test(arguments: [
        ("${env:HOST}", "db.example"), ("${HOST}", "db.example"),
        ("postgres://${env:HOST}:${env:PORT}/db", "postgres://db.example:5432/db"),
        ("${env:NONE:-fallback}", "fallback"), ("${env:NONE:-${env:HOST}}", "db.example"), ("${env:NONE:-a-${env:PORT}-b}", "a-5432-b"),
        ("$$HOME", "$HOME"), ("$$${env:PORT}", "$5432"), ("$HOME", "$HOME"), ("a$", "a$"), ("${unclosed", "${unclosed"),
        ("${env:ZERO}", "0123"), ("${env:DOLLAR}", "pa$$w${HOST}rd"), ("${env:COMMENT}", "abc #def"), ("${env:BROKEN}", "{["),
        ("${env:QUOTED}", "\"q\""), ("${env:FLAG}", "true"), ("x${env:EMPTY}y", "xy"), ("$${env:HOST}", "${env:HOST}"),
    ])
    func textsAreExpanded(_ written: String, _ expected: String) throws {
        let section = try section("key: '\(written)'")
        #expect(section.string("key") == expected)
        #expect(section.problemMessages == [])
    }

    @Test func aValueThatIsOneReferenceTakesTheTypeOfItsText() throws {
        let section = try section("""
            port: ${env:PORT}
            flag: ${env:FLAG}
            list: ${env:LIST}
            map: ${env:MAP}
            empty: ${env:EMPTY}
            default: ${env:NONE:-12}
            """)
        #expect(section.int("port", default: 0, in: 0...65_535) == 5432)
        #expect(section.bool("flag", default: false))
        #expect(section.strings("list", default: []) == ["a", "b"])
        #expect(section.section("map")?.int("deep", default: 0, in: 0...9) == 7)
        #expect(section.string("empty", default: "none") == "none")
        #expect(section.int("default", default: 0, in: 0...99) == 12)
        section.finish()
        #expect(section.problemMessages == [])
    }

    @Test func messagesNeverShowWhatAVariableHolds() throws {
        let section = try section("size: ${env:HOST}\nlevel: x-${env:HOST}\nwait: ${env:PORT}")
        _ = section.int("size", default: 1, in: 0...9)
        _ = section.duration("wait")
        enum Level: String, CaseIterable { case one }
        _ = section.choice("level", default: Level.one)
        #expect(section.problemMessages.count == 3)
        #expect(section.problemMessages.allSatisfy { !$0.contains("db.example") && !$0.contains("5432") })
    }

    @Test(arguments: ["${env:}", "${env:a b}", "${1x}", "${}", "${http:x}", "${env:NONE:-${env:NONE:-${1}}}"])
    func referencesThatMeanNothingAreProblems(_ written: String) throws {
        let section = try section("key: '\(written)'")
        #expect(section.problemMessages.count == 1)
    }

    @Test func defaultsNestedWithoutEndAreAProblem() throws {
        let text = String(repeating: "${env:NONE:-", count: 5000) + String(repeating: "}", count: 5000)
        #expect(try section("key: '\(text)'").problemMessages.count == 1)
    }

    @Test func aFileIsReadWithoutItsLastLineEnd() throws {
        var template = Array("/tmp/collector-expansion-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        "0secret$1\n".utf8CString.dropLast().withUnsafeBytes { _ = write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        #expect(try section("key: ${file:\(path)}").string("key") == "0secret$1")
    }
}
