import Testing
@testable import Configuration

/// Deterministic random numbers (Steele, Lea, Flood 2014): a failing input can be made again.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Whatever a file holds, loading ends with messages: no trap, no hang.
@Suite struct HostileInputTests {
    private func onlyMessage(_ text: String) -> String {
        let messages = TestCatalogue.messages(text)
        return messages.count == 1 ? messages[0] : "\(messages.count) messages: \(messages.prefix(3))"
    }

    @Test func aFileOfTenMegabytesIsRefused() {
        #expect(onlyMessage(minimal + String(repeating: "#\n", count: 5 << 20)) == "collector.yaml: is larger than 4 MiB")
    }

    @Test(arguments: ["[", "{a: ", "- ", "? ", "{? ", "[[{x: "])
    func deepNestingIsRefused(_ opening: String) {
        let messages = TestCatalogue.messages("receivers: \n  " + String(repeating: opening, count: 100_000))
        #expect(messages.count == 1)
        #expect(messages[0].hasPrefix("collector.yaml:"))
    }

    @Test(arguments: [65, 200, 900])
    func nestingThatTheParserTakesIsStillBounded(_ depth: Int) {
        let text = "a: " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(onlyMessage(text).hasSuffix("nested deeper than 64 levels"))
    }

    /// Nine levels of nine references: 9^9 values once expanded.
    private let bomb: String = {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let references = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(references)]\n"
        }
        return text
    }()

    @Test func anAliasBombIsRefused() {
        #expect(onlyMessage(bomb).contains("more than 100000 values"))
    }

    @Test(arguments: ["*a9 : 1\n", "? *a9\n: 1\n", "[*a9]: 1\n", "b: {[*a9] : 1}\n", "? - *a9\n  - *a9\n: 1\n", "b: {? *a9 : 1}\n"])
    func anAliasBombAsAKeyIsRefusedBeforeItIsHashed(_ key: String) {
        #expect(onlyMessage(bomb + key).contains("a key made of an alias or a collection"))
    }

    @Test func manyPlainAliasesAreFine() {
        var text = minimal.replacing("receivers: [otlp]", with: "receivers: &r [otlp]")
            .replacing("exporters: [debug]", with: "exporters: &e [debug]")
        for number in 0..<60 { text += "    traces/p\(number): {receivers: *r, exporters: *e}\n" }
        #expect(TestCatalogue.messages(text) == [])
    }

    @Test func everyTruncationAndByteFlipOfAFileEndsWithoutATrap() {
        let source = Array("""
            receivers: &r
              otlp: {protocols: {grpc: {endpoint: "${env:HOST:-localhost}:4317"}, http: }}
            exporters:
              debug: {<<: *r}
              timescaledb: {dsn: '$${x}', headers: {a: |
                text
              }}
            service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
            """.utf8)
        for length in source.indices { _ = TestCatalogue.messages(String(decoding: source[..<length], as: UTF8.self)) }
        var random = SplitMix64(state: 20_240_601)
        let alphabet = Array("{}[]:,&*?!|>'\"%@`#-\n\t $~<\\\u{0}\u{FF}".utf8)
        for _ in 0..<3000 {
            var bytes = source
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = alphabet.randomElement(using: &random) ?? 0
            }
            let messages = TestCatalogue.messages(String(decoding: bytes, as: UTF8.self))
            #expect(messages.allSatisfy { !$0.contains("\n") }, "\(bytes)")
        }
    }
}
