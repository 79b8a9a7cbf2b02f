import Glibc
import Testing
@testable import Configuration

/// Each kind of problem has a file `Fixtures/X.yaml` and the messages it must give, `Fixtures/X.expected`, line by line.
@Suite struct FixtureTests {
    static let directory = String(#filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.endIndex)) + "/Fixtures"

    static let names: [String] = {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".yaml") { names.append(String(name.dropLast(5))) }
        }
        return names.sorted()
    }()

    @Test func everyKindOfProblemHasAFixture() {
        #expect(Self.names.count >= 20)
    }

    @Test(arguments: names) func fixtureGivesExactlyItsMessages(_ name: String) throws {
        let text = try FileText.read("\(Self.directory)/\(name).yaml")
        let expected = try FileText.read("\(Self.directory)/\(name).expected").split(separator: "\n").map(String.init)
        let messages = TestCatalogue.messages(text, name: "\(name).yaml", environment: ["PORT": "70000", "LIST": "[debug]"])
        #expect(messages == expected)
    }
}
