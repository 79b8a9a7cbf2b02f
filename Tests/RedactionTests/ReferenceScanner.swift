import OTLPWire

@testable import Redaction

/// The detectors without what makes them fast: every byte is looked at by itself, and all that it may belong to are asked.
struct ReferenceScanner {
    /// A value found, and its kind.
    struct Finding: Equatable {
        let kind: Kind
        let value: [UInt8]
    }

    static func findings(_ bytes: [UInt8], name: [UInt8] = [], enabled: KindSet = .all) -> [Finding] {
        bytes.withUnsafeBytes { text in
            name.withUnsafeBytes { name in
                var scanner = Scanner(Text(text), name: Text(name), enabled: enabled, keys: .shared)
                var matches: [Match] = []
                if let match = scanner.leadingCredentials() {
                    matches.append(match)
                    scanner.floor = match.end
                }
                var tokens = 0
                for index in 0..<text.count {
                    tokens = ASCII.isToken(text[index]) ? tokens + 1 : 0
                    guard index >= scanner.floor, let match = match(scanner, index) ?? (tokens == 16 ? scanner.token(around: index) : nil),
                        match.start >= scanner.floor, match.end > index
                    else { continue }
                    matches.append(match)
                    scanner.floor = match.end
                }
                return matches.map { Finding(kind: $0.kind, value: Array(text[$0.start..<$0.end])) }
            }
        }
    }

    private static func match(_ scanner: Scanner, _ index: Int) -> Match? {
        let text = scanner.text
        switch text[index] {
        case UInt8(ascii: "@"): return scanner.email(at: index)
        case UInt8(ascii: "="): return scanner.assignment(at: index)
        case UInt8(ascii: "-"):
            let isFourth = (1...3).allSatisfy { text[index - $0] == UInt8(ascii: "-") } && text[index - 4] != UInt8(ascii: "-")
            return isFourth ? scanner.privateKey(at: index) : nil
        case UInt8(ascii: ":"):
            if text[index + 1] == UInt8(ascii: "/") || text[index + 1] == UInt8(ascii: "\\") { return scanner.url(at: index) }
            if let match = scanner.assignment(at: index) { return match }
            guard ASCII.isHex(text[index + 1]) || text[index + 1] == UInt8(ascii: ":") else { return nil }
            return scanner.macAddress(at: index) ?? scanner.ipv6(at: index)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return ASCII.isDigit(text[index - 1]) ? nil : number(scanner, index)
        default: return nil
        }
    }

    private static func number(_ scanner: Scanner, _ digit: Int) -> Match? {
        let text = scanner.text
        let index = text[digit - 1] == UInt8(ascii: "u") && text.isUnicodeEscape(at: digit - 2) ? digit + 4 : digit
        guard ASCII.isDigit(text[index]) else { return nil }
        if ASCII.isLetter(text[index - 1]) || text[index - 1] == 0x20 {
            if let match = scanner.iban(at: index) ?? scanner.nino(at: index) { return match }
        }
        guard !scanner.enabled.isDisjoint(with: .numbers), scanner.numberCanStart(index) else { return nil }
        return scanner.ipv4(at: index) ?? scanner.macAddress(at: text.run(from: index, limit: 3, ASCII.isHex))
            ?? scanner.nationalNumber(at: index) ?? scanner.card(at: index) ?? scanner.dateOfBirth(at: index) ?? scanner.phone(at: index)
    }
}
