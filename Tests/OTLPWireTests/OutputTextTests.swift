import Testing

@testable import OTLPWire

@Suite struct OutputTextTests {
    private func json(_ bytes: [UInt8], nul: OutputBuffer.NulPolicy = .replace) -> String {
        writtenText { buffer in bytes.withUnsafeBytes { buffer.appendJSONString($0, nul: nul) } }
    }

    private func sanitised(_ bytes: [UInt8]) -> String {
        writtenText { buffer in bytes.withUnsafeBytes { buffer.appendSanitised($0) } }
    }

    @Test func jsonStringsEscapeWhatTheGrammarForbids() {
        #expect(json(Array("plain".utf8)) == "\"plain\"")
        #expect(json([]) == "\"\"")
        #expect(json(Array("a\"b\\c\n\r\t\u{8}\u{C}\u{1}\u{1F}/\u{7F}".utf8)) == #""a\"b\\c\n\r\t\b\f\u0001\u001f/"# + "\u{7F}\"")
        #expect(json([0x61, 0, 0x62], nul: .keep) == #""a\u0000b""#)
        #expect(json([0x61, 0, 0x62], nul: .replace) == "\"a\u{FFFD}b\"")
    }

    /// The expected text is what Swift's own decoder, which follows the same practice, makes of the bytes.
    @Test(arguments: [
        [0x80], [0xC0, 0xAF], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80],
        [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xF0, 0x9F, 0x98, 0x41], [0xC3], [0xFF], [0xE2, 0x82, 0xAC],
        [0xF1, 0x80, 0x80, 0xE1, 0x80, 0xC2, 0x62, 0x80, 0x63, 0x80, 0xBF, 0x64], [0xC2, 0x41, 0x42],
    ] as [[UInt8]])
    func invalidUTF8IsReplacedByMaximalSubparts(bytes: [UInt8]) {
        #expect(sanitised(bytes) == String(decoding: bytes, as: UTF8.self))
        #expect(json(bytes) == "\"" + String(decoding: bytes, as: UTF8.self) + "\"")
    }

    @Test func randomBytesComeOutAsTheReferenceDecoderReadsThem() {
        var random = SeededRandom(seed: 3)
        // Leads, continuations, ASCII and specials, so that sequences of all kinds meet.
        let palette: [UInt8] = [
            0x00, 0x1F, 0x20, 0x22, 0x5C, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1,
            0xF4, 0xF5, 0xFF,
        ]
        for _ in 0..<3_000 {
            let length = Int.random(in: 0...40, using: &random)
            let bytes = (0..<length).map { _ in
                Bool.random(using: &random) ? palette[Int.random(in: 0..<palette.count, using: &random)] : UInt8(ascii: "x")
            }
            var expected = ""
            for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
                expected.unicodeScalars.append(scalar.value == 0 ? "\u{FFFD}" : scalar)
            }
            #expect(sanitised(bytes).utf8.elementsEqual(expected.utf8))
            #expect(json(bytes).utf8.elementsEqual(referenceJSON(expected).utf8))
        }
    }

    private func referenceJSON(_ text: String) -> String {
        var output = "\""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: output += "\\\""
            case 0x5C: output += "\\\\"
            case 0x08: output += "\\b"
            case 0x09: output += "\\t"
            case 0x0A: output += "\\n"
            case 0x0C: output += "\\f"
            case 0x0D: output += "\\r"
            case 0x0..<0x20: output += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output + "\""
    }

    @Test func specialsAreFoundAtEveryOffset() {
        for length in 0...33 {
            for position in 0..<length {
                for special: UInt8 in [0x00, 0x1F, 0x22, 0x5C, 0x80] {
                    var bytes = [UInt8](repeating: 0x61, count: length)
                    bytes[position] = special
                    let text = String(decoding: bytes, as: UTF8.self)
                    #expect(json(bytes, nul: .keep) == referenceJSON(text))
                }
            }
        }
    }

    /// Long texts are written in blocks; what is special may lie on both sides of a block's end.
    @Test func blockBoundariesDoNotShow() {
        let block = TextWriter.blockBytes
        let specials: [[UInt8]] = [[0x22], [0x01], [0xC3, 0xA9], [0xE4, 0xBD, 0xA0], [0xF0, 0x9F, 0x98, 0x80], [0xF0, 0x9F], [0xFF], [0]]
        for special in specials {
            for position in block - 12...block + 2 {
                for tail in [0, 3, 20] {
                    var bytes = [UInt8](repeating: 0x61, count: position) + special
                    bytes += [UInt8](repeating: 0x62, count: block + tail)
                    let text = String(decoding: bytes, as: UTF8.self)
                    #expect(json(bytes, nul: .keep) == referenceJSON(text))
                    #expect(sanitised(bytes) == String(text.map { $0 == "\0" ? "\u{FFFD}" : $0 }))
                }
            }
        }
        // The worst case for room: every byte becomes six.
        let controls = [UInt8](repeating: 1, count: 3 * block + 5)
        #expect(json(controls) == referenceJSON(String(decoding: controls, as: UTF8.self)))
        let invalid = [UInt8](repeating: 0xFF, count: 3 * block + 5)
        #expect(sanitised(invalid) == String(repeating: "\u{FFFD}", count: invalid.count))
    }

    @Test func hexAndBase64FollowTheirAlphabets() {
        let all = (0...255).map { UInt8($0) }
        let hex = all.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(writtenText { buffer in all.withUnsafeBytes { buffer.appendHex($0) } } == hex)
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")] {
            #expect(writtenText { buffer in Array(text.utf8).withUnsafeBytes { buffer.appendBase64($0) } } == expected)
        }
        let high: [UInt8] = [0xFB, 0xFF, 0xFE]
        #expect(writtenText { buffer in high.withUnsafeBytes { buffer.appendBase64($0) } } == "+//+")
    }
}
