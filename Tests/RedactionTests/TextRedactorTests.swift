import OTLPWire
import Patterns
import Testing

@testable import Redaction

@Suite struct TextRedactorTests {
    @Test func eachStrategyWritesItsForm() {
        #expect(Rewriting(.standard, .mask)("to jane@example.com.") == "to ****************.")
        #expect(Rewriting(.standard, .partial)("to jane@example.com.") == "to ************.com.")
        #expect(Rewriting(.standard, .remove)("to jane@example.com.") == "to .")
        #expect(Rewriting(.standard, .replace)("to jane@example.com.") == "to <EMAIL>.")
        #expect(Rewriting(.standard, .mask)("müller@example.de") == "*****************")
    }

    @Test func hashesAreHMACsAndTheSameEverywhere() {
        let redact = Rewriting(.standard, .hash)
        // printf jane@example.com | openssl dgst -sha256 -hmac 0123456789abcdef
        #expect(redact("jane@example.com") == "sha256:a7a54661c75bce90")
        #expect(redact(#"[{"to": "\u006aane@example.com"}]"#) == #"[{"to": "sha256:a7a54661c75bce90"}]"#)
    }

    /// A message and its end fit into one block of SHA-256 up to 55 bytes. Expected values by `openssl dgst`.
    @Test(arguments: [
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.com", "f909b74a8b06df69"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@example.com", "fb8b0eb9fd98e633"),
        ("a.rather.long.local.part.of.an.address.0123456789@subdomain.of.a.long.example.com", "ac4dda699daa8d7e"),
    ])
    func hashesOfLongValuesAreHMACsToo(_ value: String, _ hash: String) {
        #expect(Rewriting(.standard, .hash)(value) == "sha256:\(hash)")
    }

    @Test func aKindHasItsOwnStrategy() {
        let redact = Rewriting(.standard, .replace, strategies: [.email: .mask])
        #expect(redact("a@b.co 078-05-1120") == "****** <US_SSN>")
    }

    @Test func allowedValuesStay() {
        let redact = Rewriting(.standard, allow: ["support@example.com", "*.internal.example.com", "10.*"])
        let text = "Support@example.com a@x.internal.example.com 10.1.2.3"
        #expect(redact(text + " b@example.com") == text + " <EMAIL>")
    }

    @Test func customPatternsAreFoundBesideTheBuiltInOnes() throws {
        let order = CustomDetector(name: "order", pattern: try Pattern("ORD-[0-9]+"), strategy: .replace)
        let redact = Rewriting(.standard, customs: [order])
        #expect(redact("ORD-17 a@b.co ORD-18") == "<ORDER> <EMAIL> <ORDER>")
        #expect(redact.kinds("ORD-17 a@b.co") == ["order", "email"])
    }

    // MARK: JSON

    @Test(arguments: [
        (#"[{"role":"user","content":"mail\njane@example.com"}]"#, #"[{"role":"user","content":"mail\n<EMAIL>"}]"#),
        (#"{"a":"\u003cjane@example.com\u003e"}"#, #"{"a":"\u003c<EMAIL>\u003e"}"#),
        (#"{"a":"jane\u0040example.com","b":[1,true,null,-2.5e3]}"#, #"{"a":"<EMAIL>","b":[1,true,null,-2.5e3]}"#),
        (#"{"u":"http:\/\/10.2.3.4\/x"}"#, #"{"u":"http:\/\/<IP_ADDRESS>\/x"}"#),
        (#"{"jane@example.com":"x"}"#, #"{"jane@example.com":"x"}"#),
        (#"{"card":4111111111111111,"n":4111111111111112}"#, #"{"card":"<CREDIT_CARD>","n":4111111111111112}"#),
        (#"{"x":"{\"to\":\"a\\nb@c.de\"}"}"#, #"{"x":"{\"to\":\"a\\n<EMAIL>\"}"}"#),
        (#"{"x":"{\"card\":4111111111111111}"}"#, #"{"x":"{\"card\":\"<CREDIT_CARD>\"}"}"#),
        (" [ \"a@b.co\" , { } , [ ] ] ", " [ \"<EMAIL>\" , { } , [ ] ] "),
        (#"{"emoji":"\ud83d\ude00 a@b.co \ud83d"}"#, #"{"emoji":"\ud83d\ude00 <EMAIL> \ud83d"}"#),
    ])
    func jsonStaysJSON(_ text: String, _ expected: String) {
        #expect(Rewriting()(text) == expected)
    }

    @Test func replacementsAreEscapedWhereTheyNeedIt() throws {
        let redact = Rewriting(.all, .partial, customs: [])
        // The last four characters are kept, a quotation mark among them.
        #expect(redact(#"{"a":"Password=x"}"#) == #"{"a":"Password=x"}"#)
        let custom = CustomDetector(name: "quoted", pattern: try Pattern("key .*"), strategy: .partial)
        #expect(Rewriting([], .partial, customs: [custom])(#"{"a":"key 123456\"\\7"}"#) == #"{"a":"*********6\"\\7"}"#)
    }

    @Test(arguments: [
        #"{"a": "jane@example.com""#, #"[{"a": "jane@example.com"},]"#, #"{jane@example.com}"#, #"["jane@example.com\q"]"#,
        #"{"a" "jane@example.com"}"#, "[jane@example.com]",
    ])
    func whatOnlyLooksLikeJSONIsSearchedAsText(_ text: String) {
        let redacted = Rewriting()(text)
        #expect(!redacted.contains("jane"))
        #expect(redacted.contains("<EMAIL>"))
    }

    @Test func jsonNestedAThousandDeepIsRewritten() {
        let text = String(repeating: "[", count: 1000) + "\"a@b.co\"" + String(repeating: "]", count: 1000)
        #expect(Rewriting()(text) == text.replacing("a@b.co", with: "<EMAIL>"))
        let deeper = String(repeating: "[", count: 100_000) + "\"a@b.co\"" + String(repeating: "]", count: 100_000)
        #expect(Rewriting()(deeper) == deeper.replacing("a@b.co", with: "<EMAIL>"))
    }

    @Test func jsonInJSONBeyondTheLimitIsStillRedacted() {
        var text = #"{"a":"jane@example.com"}"#
        for _ in 0..<12 {
            var inner = ""
            for character in text { inner += character == "\"" || character == "\\" ? "\\\(character)" : "\(character)" }
            text = #"{"a":"\#(inner)"}"#
        }
        #expect(!Rewriting()(text).contains("jane"))
    }

    // MARK: Hostile texts

    @Test func invalidUTF8PassesAroundWhatIsFound() {
        let text: [UInt8] = [0xFF, 0xFE, 0x20] + Array("a@b.co".utf8) + [0x20, 0xC3]
        #expect(Rewriting().bytes(text) == [0xFF, 0xFE, 0x20] + Array("<EMAIL>".utf8) + [0x20, 0xC3])
    }

    @Test func textsCutAnywhereAreNoTrouble() {
        let json = #"[{"a":"é\u00e9 jane@example.com +49 170 1234567 sk-ant-api03-abcdefghij0123456789 ::1 -----BEGIN PRIVATE KEY-----"}]"#
        let text = Array(json.utf8)
        let redact = Rewriting()
        for end in 0...text.count {
            for start in [0, min(end, 7), end / 2] { _ = redact.bytes(Array(text[start..<end])) }
        }
    }

    @Test func randomBytesAreNoTrouble() {
        var state: UInt64 = 42
        func next(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        let alphabet = Array(#"{}[]":,\un01239aAbF@.+-()/=_ xé"#.utf8)
        let redact = Rewriting(.all, .partial)
        for _ in 0..<5_000 {
            let text = (0..<next(90)).map { _ in next(20) == 0 ? UInt8(next(256)) : alphabet[Int(next(UInt64(alphabet.count)))] }
            _ = redact.bytes(text)
        }
    }

    @Test(arguments: [
        "1 ", "1-", "a@", "::", "http://", "[", "{\"", "\\u00", "-----BEGIN ", "a.", "+1 ", "12345678901234567890", "password=", "eyJ.",
    ])
    func triggersTakeLinearTime(_ piece: String) {
        let redact = Rewriting()
        let small = Array(String(repeating: piece, count: 12_500 / piece.utf8.count).utf8)
        let large = Array(String(repeating: piece, count: 500_000 / piece.utf8.count).utf8)
        let clock = ContinuousClock()
        let base = clock.measure { _ = redact.bytes(small) }
        let time = clock.measure { _ = redact.bytes(large) }
        // 40 times the text; generous, since the machine is shared. Quadratic work would be 1,600 times as much.
        #expect(time < max(base, .milliseconds(2)) * 400)
    }

    @Test func tenMegabytesAreRewrittenWhole() {
        let prose = String(repeating: "nothing to see here, ", count: 500_000)
        #expect(Rewriting()(prose + "a@b.co") == prose + "<EMAIL>")
    }

    @Test func aPatternThatWouldBacktrackIsLinear() throws {
        let custom = CustomDetector(name: "evil", pattern: try Pattern("(a+)+$"), strategy: .replace)
        let redact = Rewriting([], customs: [custom])
        #expect(redact(String(repeating: "a", count: 20_000) + "!").hasSuffix("a!"))
    }

    @Test func anInvalidPatternSaysWhere() {
        #expect(throws: PatternProblem.self) { try Pattern("a(b") }
        do throws(PatternProblem) {
            _ = try Pattern("abc[z-a]")
        } catch {
            #expect(error.offset == 4)
        }
        // Backreferences cannot be matched in linear time.
        #expect(throws: PatternProblem.self) { try Pattern("(a)\\1") }
    }
}
