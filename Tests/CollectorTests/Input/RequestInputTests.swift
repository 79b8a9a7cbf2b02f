import Testing

@testable import Collector

private func documents(_ text: String) throws(RequestInput.Problem) -> [(line: Int, text: String)] {
    var input = RequestInput(Array(text.utf8))
    var found: [(line: Int, text: String)] = []
    while let next = try input.next() { found.append((next.line, String(decoding: next.json, as: UTF8.self))) }
    return found
}

@Suite struct RequestInputTests {
    @Test func documentsAreToldApartByTheirBracketsAndKnowTheirLine() throws {
        let found = try documents("\n{\"a\":[1,{}]} {}\n\n{\n\"b\": \"}\\\"{\"\n}\r\n")
        #expect(found.map(\.text) == ["{\"a\":[1,{}]}", "{}", "{\n\"b\": \"}\\\"{\"\n}"])
        #expect(found.map(\.line) == [2, 2, 4])
    }

    @Test func anEmptyInputHasNone() throws {
        #expect(try documents("").isEmpty)
        #expect(try documents(" \n\t\r\n").isEmpty)
    }

    @Test(arguments: [
        ("{}\n7", RequestInput.Problem(line: 2, message: "a request begins with {")),
        ("{}\n\n{\"a\": \"\n", RequestInput.Problem(line: 3, message: "the request that begins here does not end")),
        ("{\"\\", RequestInput.Problem(line: 1, message: "the request that begins here does not end")),
    ])
    func whatIsNoDocumentIsAProblemWithTheLineItBeginsAt(_ text: String, _ problem: RequestInput.Problem) {
        #expect(throws: problem) { try documents(text) }
    }

    @Test func everyPrefixOfAnInputEndsWithoutATrap() {
        let bytes = Array(#"{"a\\":["}",{"b":"\""}]}"#.utf8)
        for count in 0..<bytes.count {
            var input = RequestInput(Array(bytes[..<count]))
            if count == 0 { continue }
            #expect(throws: RequestInput.Problem.self) { try input.next() }
        }
    }

    @Test func aRequestThatIsNoOTLPIsAProblemWithTheLine() throws {
        var input = RequestInput(Array("\n{\"resourceSpans\": 7}".utf8))
        let document = try #require(try input.next())
        #expect(throws: RequestInput.Problem(line: 2, message: "resourceSpans must be an array")) {
            try RequestReader().batch(of: document)
        }
    }
}
