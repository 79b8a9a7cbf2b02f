/// Addresses of RFC 5321 as they are written in practice: no quoted local parts, no address literals.
extension Scanner {
    private static var localBytesMax: Int { 64 }
    private static var domainBytesMax: Int { 253 }
    private static var labelBytesMax: Int { 63 }

    func email(at sign: Int) -> Match? {
        guard enabled.has(.email), let end = domainEnd(from: sign + 1) else { return nil }
        var start = text.runStart(before: sign, limit: Self.localBytesMax) { Self.isLocal($0) }
        start = max(start, floor)
        // A run of letters beyond ASCII begins with a whole character.
        while start < sign, text[start] & 0xC0 == 0x80 { start += 1 }
        if text[start - 1] == UInt8(ascii: "\\") { start = afterEscape(start) }
        while start < sign, text[start] == UInt8(ascii: ".") || text[start] == UInt8(ascii: "'") { start += 1 }
        guard start < sign, text[sign - 1] != UInt8(ascii: ".") else { return nil }
        return Match(.email, start, end)
    }

    /// The first byte after the JSON escape whose backslash stands before `index`.
    private func afterEscape(_ index: Int) -> Int {
        if text.isUnicodeEscape(at: index - 1) { return index + 5 }
        return text.isEscapeEnd(index + 1) ? index + 1 : index
    }

    private static func isLocal(_ byte: UInt8) -> Bool {
        if ASCII.isToken(byte) || isLatin(byte) { return true }
        switch byte {
        case UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "%"), UInt8(ascii: "'"), UInt8(ascii: "&"), UInt8(ascii: "~"),
            UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"):
            return true
        default: return false
        }
    }

    /// UTF-8 bytes of letters that Latin scripts add to ASCII; in other scripts words are often not parted by spaces.
    private static func isLatin(_ byte: UInt8) -> Bool {
        byte & 0xC0 == 0x80 || (byte >= 0xC3 && byte <= 0xCA)
    }

    /// End of the domain name at `start`: labels with dots between, the last of at least two letters.
    private func domainEnd(from start: Int) -> Int? {
        var end: Int?
        var label = start
        var labels = 0
        while label - start < Self.domainBytesMax {
            let stop = text.run(from: label, limit: Self.labelBytesMax) { byte in
                ASCII.isAlphanumeric(byte) || byte == UInt8(ascii: "-") || byte >= 0x80
            }
            guard stop > label, text[label] != UInt8(ascii: "-") else { break }
            var labelEnd = stop
            while labelEnd > label, text[labelEnd - 1] == UInt8(ascii: "-") { labelEnd -= 1 }
            labels += 1
            if labels > 1, isTopLevel(label, labelEnd) { end = labelEnd }
            guard labelEnd == stop, text[stop] == UInt8(ascii: ".") else { break }
            label = stop + 1
        }
        return end
    }

    private func isTopLevel(_ start: Int, _ end: Int) -> Bool {
        guard end - start >= 2 else { return false }
        if text.hasAnyCase("xn--", at: start) { return true }
        for index in start..<end where !ASCII.isLetter(text[index]) && text[index] < 0x80 { return false }
        return true
    }
}
