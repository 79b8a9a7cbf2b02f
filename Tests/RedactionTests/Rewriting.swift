import Crypto
import OTLPWire
@testable import Redaction

/// Texts in, texts out.
struct Rewriting {
    static let key = KeyedHash(key: Array("0123456789abcdef".utf8))
    let redactor: TextRedactor

    init(
        _ detect: KindSet = .all, _ strategy: Strategy = .replace, strategies: [Kind: Strategy] = [:], customs: [CustomDetector] = [],
        allow: [String] = []
    ) {
        redactor = TextRedactor(
            detect: detect, customs: customs, strategy: strategy, strategies: strategies, allow: AllowList(allow), key: Self.key)
    }

    func bytes(_ text: [UInt8], name: String = "") -> [UInt8] {
        let scratch = RedactionScratch()
        let name = Array(name.utf8)
        return text.withUnsafeBytes { text in
            name.withUnsafeBytes { name in
                guard redactor.search(text, name: name, scratch) else { return Array(text) }
                var output = OutputBuffer()
                scratch.write(text, into: &output)
                return output.withBytes { Array($0) }
            }
        }
    }

    func callAsFunction(_ text: String, name: String = "") -> String {
        String(decoding: bytes(Array(text.utf8), name: name), as: UTF8.self)
    }

    func kinds(_ text: String) -> [String] {
        let scratch = RedactionScratch()
        return Array(text.utf8).withUnsafeBytes { text in
            guard redactor.search(text, name: WireBytes(start: nil, count: 0), scratch) else { return [] }
            return scratch.foundKinds.map { redactor.kindNames[$0] }
        }
    }
}
