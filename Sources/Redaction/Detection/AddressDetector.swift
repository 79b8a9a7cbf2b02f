/// IP and MAC addresses.
extension Scanner {
    /// RFC 4291's longest form has 45 characters.
    private static var ipv6BytesMax: Int { 45 }
    private static let versionWords: [StaticString] = ["version", "ver", "release", "build", "rev", "revision", "v"]

    /// Four decimal octets. Not after `v`, `version`, `/`, `-`: those are versions.
    func ipv4(at index: Int) -> Match? {
        guard enabled.has(.ipAddress) else { return nil }
        var position = index
        for octet in 0..<4 {
            let end = text.run(from: position, limit: 4, ASCII.isDigit)
            guard isOctet(position, end) else { return nil }
            position = end
            if octet < 3 {
                guard text[position] == UInt8(ascii: ".") else { return nil }
                position += 1
            }
        }
        let next = text[position]
        if ASCII.isWord(next) || (next == UInt8(ascii: ".") && ASCII.isAlphanumeric(text[position + 1])) { return nil }
        if next == UInt8(ascii: "-") || next == UInt8(ascii: "+"), ASCII.isLetter(text[position + 1]) { return nil }
        return isVersion(index) ? nil : Match(.ipAddress, index, position)
    }

    private func isOctet(_ start: Int, _ end: Int) -> Bool {
        switch end - start {
        case 1: return true
        case 2: return text[start] != UInt8(ascii: "0")
        case 3:
            let value = Int(text[start] &- 48) * 100 + Int(text[start + 1] &- 48) * 10 + Int(text[start + 2] &- 48)
            return value >= 100 && value <= 255
        default: return false
        }
    }

    private func isVersion(_ index: Int) -> Bool {
        let before = text[index - 1]
        if before == UInt8(ascii: "-") { return true }
        if before == UInt8(ascii: "/") {
            // `//` starts an authority; JSON may write it `\/\/`.
            return text[index - 2] != UInt8(ascii: "/") && text[index - 3] != UInt8(ascii: "/")
        }
        let wordEnd = text.runStart(before: index, limit: 4) { byte in
            ASCII.isSpace(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: "=") || byte == UInt8(ascii: "\"")
                || byte == UInt8(ascii: "'")
        }
        let wordStart = text.runStart(before: wordEnd, limit: 12, ASCII.isLetter)
        for word in Self.versionWords where wordEnd - wordStart == word.utf8CodeUnitCount && text.hasAnyCase(word, at: wordStart) {
            return true
        }
        return false
    }

    /// `index` is at the address's first colon.
    func ipv6(at index: Int) -> Match? {
        guard enabled.has(.ipAddress) else { return nil }
        var start = text.runStart(before: index, limit: 5, ASCII.isHex)
        if index - start > 4 || ASCII.isWord(text[start - 1]) {
            guard let fixed = (start..<index).first(where: { index - $0 <= 4 && text.isEscapeEnd($0) }) else { return nil }
            start = fixed
        }
        guard start >= floor, text[start - 1] != UInt8(ascii: ":"), start < index || text[index + 1] == UInt8(ascii: ":") else {
            return nil
        }
        var position = start
        var groups = 0
        var gaps = 0
        var hasDigit = false
        while position - start <= Self.ipv6BytesMax {
            if text[position] == UInt8(ascii: ":"), text[position + 1] == UInt8(ascii: ":") {
                gaps += 1
                position += 2
                guard ASCII.isHex(text[position]) else { break }
                continue
            }
            if groups > 0, text[position] == UInt8(ascii: ":") {
                guard ASCII.isHex(text[position + 1]) else { break }
                position += 1
            }
            let end = text.run(from: position, limit: 5, ASCII.isHex)
            guard end > position else { break }
            guard end - position <= 4 else { return nil }
            if text[end] == UInt8(ascii: "."), let dotted = ipv4Tail(position) {
                groups += 2
                position = dotted
                hasDigit = true
                break
            }
            for digit in position..<end where ASCII.isDigit(text[digit]) { hasDigit = true }
            groups += 1
            position = end
        }
        let isWhole = gaps == 0 ? groups == 8 : gaps == 1 && groups <= 7 && groups >= 1 && (hasDigit || groups >= 4)
        let next = text[position]
        guard isWhole, !ASCII.isWord(next), !(next == UInt8(ascii: ":") && text[position + 1] == UInt8(ascii: ":")) else { return nil }
        return Match(.ipAddress, start, position)
    }

    /// End of four octets with dots between.
    func ipv4Tail(_ index: Int) -> Int? {
        var position = index
        for octet in 0..<4 {
            let end = text.run(from: position, limit: 4, ASCII.isDigit)
            guard isOctet(position, end), octet == 3 || text[end] == UInt8(ascii: ".") else { return nil }
            position = octet == 3 ? end : end + 1
        }
        return position
    }

    /// Six pairs of hexadecimal digits (IEEE 802); `index` is at the first separator.
    func macAddress(at index: Int) -> Match? {
        let separator = text[index]
        guard enabled.has(.macAddress), separator == UInt8(ascii: ":") || separator == UInt8(ascii: "-") else { return nil }
        let start = index - 2
        for pair in 0..<6 {
            let position = start + 3 * pair
            guard ASCII.isHex(text[position]), ASCII.isHex(text[position + 1]) else { return nil }
            if pair < 5, text[position + 2] != separator { return nil }
        }
        let end = start + 17
        guard start >= floor, !ASCII.isWord(text[start - 1]) || text.isEscapeEnd(start), text[start - 1] != separator,
            !ASCII.isWord(text[end]), text[end] != separator
        else { return nil }
        return Match(.macAddress, start, end)
    }
}
