import CTextScan
import OTLPWire
import Testing

@testable import Redaction

/// Texts put together at random from values, from what looks like them, and from what detectors look at around them.
private struct RandomTexts {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func below(_ bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((value ^ (value >> 31)) % UInt64(bound))
    }

    private static let pieces: [String] = [
        "jane.doe+x@mail.example.co.uk", "müller@example.de", "+49 170 1234567", "(581) 896-0013", "001-581-896-0013x3890",
        "01 23 45 67 89",
        "4111 1111 1111 1111", "378282246310005", "4111-1111-1111-1111", "078-05-1120", "912-70-1234", "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432", "10.2.33.17", "2001:db8::8a2e:370:7334", "::1", "00:1b:44:11:3a:b7", "00-1B-44-11-3A-B7", "943 476 5919",
        "AB 12 34 56 C", "ab123456c", "130 692 544", "tfn 123 456 782", "2341 2341 2346", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "born on 12 March 1990", "dob 1990-03-12", "1/2/1990",
        "https://joe:hunter2@example.com/",
        "postgresql://app:s3cr3t@db:5432/x", "Password=s3*cr3t;", "pwd=abc", "aws_secret_access_key = abcdefghij0123456789KLMN",
        "Authorization: Bearer abc.def", "\"authorization\": \"Basic dXNlcjpwYXNz\"", "Bearer 0123456789", "basic dXNlcjpwYXNz",
        "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "sk-ant-api03-abcdefghij0123456789klmnop",
        "glpat-a1b2c3d4e5f6g7h8i9j0",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnop",
        "SG.abcdefghij0123456789ab.abcdefghijklmnopqrstuvwxyz0123456789abcdefg",
        "hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXX1", "token_ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "550e8400-e29b-41d4-a716-446655440000",
        "2024-11-21T07:13:00.123456Z", "v1.2.3.4", "version ", "Chrome/120.0.1.2", "4111111111111112", "order 12345678", "ssn 123456789",
        "the quick brown fox jumps", "well-known", "chatcmpl-0a1b2c3d4e5f60718293a4b5", "12:34:56", "a::b", "3.14", "call ",
        "nhs 9434765919",
        "\\u003c", "\\n", "\\/", "\\", "\"", "é", "\u{1F600}", "{", "}", "[", "]",
    ]
    private static let joints: [String] = [
        " ", " ", "", "\n", ", ", ":", ": ", "=", "-", "_", ".", "/", "\"", "'", "(", "@", "\\n", "x", "7", "\t",
    ]
    private static let bytes = Array("0123456789aAbBfFuUnNdDyYxz@:=-_./\\\"' (){}[]+;,\n\u{0}é".utf8) + [0xFF, 0x80]

    mutating func text(_ pieces: Int) -> [UInt8] {
        var text: [UInt8] = []
        for _ in 0...below(pieces) {
            text += Array(Self.pieces[below(Self.pieces.count)].utf8)
            text += Array(Self.joints[below(Self.joints.count)].utf8)
            // Values are to lie across the edges of blocks as well.
            if below(4) == 0 { text += [UInt8](repeating: UInt8(ascii: "a"), count: below(13)) + [0x20] }
        }
        for _ in 0..<below(4) where !text.isEmpty {
            let place = below(text.count)
            switch below(4) {
            case 0: text[place] = Self.bytes[below(Self.bytes.count)]
            case 1: text.insert(Self.bytes[below(Self.bytes.count)], at: place)
            case 2: text.remove(at: place)
            default: text.removeSubrange(min(place + below(9), text.count)...)
            }
        }
        return text
    }

    /// The bytes inside a JSON string that stands for `text`, written with one of the ways there are for each byte.
    mutating func escaped(_ text: [UInt8]) -> [UInt8] {
        let hidesMuch = below(4) == 0
        return text.flatMap { byte -> [UInt8] in
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): return [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): return Array("\\n".utf8)
            case UInt8(ascii: "\t"): return Array("\\t".utf8)
            case UInt8(ascii: "/") where below(3) == 0: return Array("\\/".utf8)
            case 0x21..<0x7F where hidesMuch && below(20) == 0, 0..<0x20:
                let digits = String(byte, radix: 16, uppercase: below(2) == 0)
                return Array("\\u00\(byte < 16 ? "0" : "")\(digits)".utf8)
            default: return [byte]
            }
        }
    }

    mutating func name() -> [UInt8] {
        let names = ["content", "role", "ssn", "dob", "user.date_of_birth", "password", "authorization", "phone", "key", "nhs"]
        return Array(names[below(names.count)].utf8)
    }
}

/// What the fast way finds, with prefilters, vectors and JSON passed over unread, is what the detectors find when each byte is
/// looked at.
@Suite struct DifferentialTests {
    typealias Finding = ReferenceScanner.Finding

    /// What a text was found to hold: each value as its hash, so that it can be told where it stood in escaped form.
    private func found(_ text: [UInt8], name: [UInt8], _ redactor: TextRedactor) -> [String] {
        let scratch = RedactionScratch()
        return text.withUnsafeBytes { text in
            name.withUnsafeBytes { name in
                var all: [String] = []
                guard redactor.search(text, name: name, scratch) else { return [] }
                scratch.forEachEdit { _, kind, replacement in
                    // A number of JSON becomes a string.
                    let written = String(decoding: replacement, as: UTF8.self).filter { $0 != "\"" && $0 != "\\" }
                    all.append("\(redactor.kindNames[kind]) \(written)")
                }
                return all
            }
        }
    }

    private func expected(_ findings: [Finding]) -> [String] {
        findings.map { finding in
            if finding.kind.isCredential { return "\(finding.kind.rawValue) \(finding.kind.placeholder)" }
            var digits = String(finding.value.withUnsafeBytes { Rewriting.key.prefix64($0) }, radix: 16)
            digits = String(repeating: "0", count: 16 - digits.count) + digits
            return "\(finding.kind.rawValue) sha256:\(digits)"
        }
    }

    private func isJSON(_ text: [UInt8]) -> Bool { text.withUnsafeBytes { JSONStrings.isPossible($0) } }

    @Test(arguments: [(UInt64(1), KindSet.all), (UInt64(2), KindSet.standard), (UInt64(3), KindSet([.email, .usSSN]))])
    func plainTextsHoldWhatEveryByteLookedAtShows(_ seed: UInt64, _ enabled: KindSet) {
        let redactor = Rewriting(enabled, .hash).redactor
        var random = RandomTexts(seed: seed)
        var values = 0
        for _ in 0..<6_000 {
            let text = random.text(6)
            let name = random.name()
            guard text.count >= 6, !isJSON(text) else { continue }
            let reference = expected(ReferenceScanner.findings(text, name: name, enabled: enabled))
            values += reference.count
            #expect(found(text, name: name, redactor) == reference, "\(String(decoding: text, as: UTF8.self).debugDescription)")
        }
        #expect(values > 800)
    }

    @Test(arguments: [(UInt64(4), KindSet.all), (UInt64(5), KindSet.standard), (UInt64(6), KindSet([.phone, .secrets, .dateOfBirth]))])
    func stringsInJSONHoldWhatTheyHoldByThemselves(_ seed: UInt64, _ enabled: KindSet) {
        let redactor = Rewriting(enabled, .hash).redactor
        var random = RandomTexts(seed: seed)
        var values = 0
        for _ in 0..<4_000 {
            var json: [UInt8] = [UInt8(ascii: "{")]
            var reference: [String] = []
            for _ in 0...random.below(3) {
                let name = random.name()
                // Some have no value to find, as most texts in life.
                let text = random.below(3) == 0 ? Array("the quick brown fox: jumps, over".utf8) : random.text(3)
                if json.count > 1 { json += Array(", ".utf8) }
                json += [UInt8(ascii: "\"")] + name + Array(#"": ""#.utf8)
                if isJSON(text) { continue }
                json += random.escaped(text) + [UInt8(ascii: "\"")]
                reference += expected(ReferenceScanner.findings(text, name: name, enabled: enabled))
                if random.below(4) == 0 {
                    let number = Array(["4111111111111111", "123456789", "9434765919", "12"][random.below(4)].utf8)
                    json += Array(#", "ssn": "#.utf8) + number
                    let whole = ReferenceScanner.findings(number, name: Array("ssn".utf8), enabled: enabled).filter { $0.value == number }
                    reference += expected(whole)
                }
            }
            json.append(UInt8(ascii: "}"))
            values += reference.count
            #expect(found(json, name: [], redactor) == reference, "\(String(decoding: json, as: UTF8.self).debugDescription)")
            // The same as a string in another one, and that again.
            let nested = Array(#"[{"arguments": ""#.utf8) + random.escaped(json) + Array(#""}]"#.utf8)
            #expect(found(nested, name: [], redactor) == reference, "\(String(decoding: nested, as: UTF8.self).debugDescription)")
            let twice = Array(#"["ok", ""#.utf8) + random.escaped(nested) + Array(#""]"#.utf8)
            #expect(found(twice, name: [], redactor) == reference, "\(String(decoding: twice, as: UTF8.self).debugDescription)")
        }
        #expect(values > 800)
    }

    @Test func whatIsNoJSONInTheEndIsSearchedAsItStands() {
        let redactor = Rewriting(.all, .hash).redactor
        var random = RandomTexts(seed: 7)
        for _ in 0..<4_000 {
            // The string is not closed.
            let text = Array(#"{"content": ""#.utf8) + random.escaped(random.text(3)) + [UInt8(ascii: "}")]
            let reference = expected(ReferenceScanner.findings(text, name: [], enabled: .all))
            #expect(found(text, name: [], redactor) == reference, "\(String(decoding: text, as: UTF8.self).debugDescription)")
        }
    }

    @Test func vectorsSeeTheAnchorsThatEveryByteLookedAtShows() {
        var random = RandomTexts(seed: 8)
        for round in 0..<10_000 {
            let text = random.text(5)
            let isJSON = round % 2 == 0
            var anchors = ctextscan_anchors()
            var plain = ctextscan_anchors()
            var offset = 0
            repeat {
                let next = ctextscan_next(text, text.count, offset, isJSON, &anchors)
                #expect(next == ctextscan_next_plain(text, text.count, offset, isJSON, &plain))
                #expect(masks(anchors) == masks(plain), "\(String(decoding: text, as: UTF8.self).debugDescription)")
                offset = next
            } while offset != 0
        }
    }

    private func masks(_ anchors: ctextscan_anchors) -> [UInt64] {
        [
            UInt64(anchors.offset), anchors.all, anchors.numbers, anchors.marks, anchors.dashes, anchors.tokens, anchors.leading,
            anchors.hidden,
        ]
    }
}
