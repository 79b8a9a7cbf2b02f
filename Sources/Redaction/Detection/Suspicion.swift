import CTextScan

/// Whether it is worth taking JSON apart: most prompts and answers hold nothing sensitive, and are passed over here.
///
/// One pass over the JSON as it is written, for the anchors of `Scanner`; those few are judged by the bytes around them. What a
/// string stands for has no anchor that its writing has not: escapes stand for none of the bytes that anchors are made of. `\u`
/// may stand for any byte, though, and `\/` for a separator in the middle of a number, so these two are suspicious by themselves.
/// Judged is only what a detector wants to see, never what it minds: its neighbours in the JSON are no neighbours in the string.
extension Scanner {
    /// Offset of the first anchor that a detector might accept: no string that ends before holds a value, be it nested in another.
    /// Nil when there is none, then neither the strings nor, should this be no JSON after all, the text itself hold one.
    func firstSuspicion() -> Int? {
        var anchors = ctextscan_anchors()
        var offset = 0
        var url = Int.max
        while true {
            offset = ctextscan_next(text.start, text.count, offset, true, &anchors)
            if offset == 0 { return nil }
            if let found = firstSuspicion(among: anchors, &url) { return min(found, url) }
        }
    }

    @inline(never)
    private func firstSuspicion(among anchors: ctextscan_anchors, _ url: inout Int) -> Int? {
        var rest = anchors.all | anchors.leading | anchors.hidden
        while rest != 0 {
            let bit = UInt64(rest.trailingZeroBitCount)
            rest &= rest &- 1
            let index = anchors.offset &+ Int(bit)
            func isOne(of mask: UInt64) -> Bool { mask &>> bit & 1 == 1 }
            let isSuspicious =
                isOne(of: anchors.hidden) || isOne(of: anchors.marks) && isSuspiciousMark(index)
                || isOne(of: anchors.numbers) && isSuspiciousNumber(index) || isOne(of: anchors.tokens) && isSuspiciousToken(index)
                || isOne(of: anchors.dashes) && text.has("-----BEGIN ", at: index - 3)
                || isOne(of: anchors.leading) && (text.hasAnyCase("bearer ", at: index) || text.hasAnyCase("basic ", at: index))
            if isSuspicious { return index }
            // Of a URL with credentials it is the `@` that counts; then all from its colon on is to be looked at.
            if isOne(of: anchors.marks), text[index + 1] == UInt8(ascii: "/") { url = min(url, index) }
        }
        return nil
    }

    private func isSuspiciousMark(_ index: Int) -> Bool {
        if text[index] == UInt8(ascii: "@") || isNamed(before: index) { return true }
        guard text[index] == UInt8(ascii: ":"), ASCII.isHex(text[index + 1]) || text[index + 1] == UInt8(ascii: ":") else { return false }
        // Both kinds of addresses have the next colon at most four digits further.
        return (1...5).contains { text[index + $0] == UInt8(ascii: ":") }
    }

    /// Whether the end of a name that `assignment` knows may stand before the mark at `index`: `authorization`, a password, a key.
    private func isNamed(before index: Int) -> Bool {
        var end = index
        while index - end <= 3 {
            switch text[end - 1] {
            case UInt8(ascii: "\""), UInt8(ascii: "'"), 0x20: end -= 1
            // Some of the quotation marks before it may be one, written in JSON in JSON.
            case UInt8(ascii: "\\"): return true
            case UInt8(ascii: "N"), UInt8(ascii: "n"): return text.hasAnyCase("authorization", at: end - 13)
            case UInt8(ascii: "D"), UInt8(ascii: "d"): return text.hasAnyCase("rd", at: end - 2) || text.hasAnyCase("wd", at: end - 2)
            case UInt8(ascii: "Y"), UInt8(ascii: "y"): return text.hasAnyCase("key", at: end - 3)
            default: return false
            }
        }
        return false
    }

    private func isSuspiciousNumber(_ index: Int) -> Bool {
        let before = text[index - 1]
        // An account's or a person's number: two letters, maybe a space, two digits.
        if ASCII.isDigit(text[index + 1]), before == 0x20 ? ASCII.isLetter(text[index - 2]) : ASCII.isLetter(before) {
            if before == 0x20 ? enabled.has(.ukNINO) && nino(at: index) != nil : ASCII.isLetter(text[index - 2]) { return true }
        }
        return text.hasDigits(Self.digitsMin, from: index, reach: Self.digitsReach) || ipv4Tail(index) != nil
            || enabled.has(.dateOfBirth) && date(at: index) != nil
    }

    /// After a backslash the run may in truth begin a character or more later.
    private func isSuspiciousToken(_ index: Int) -> Bool {
        text[text.tokenStart(before: index, limit: Self.keyBytesMax) - 1] == UInt8(ascii: "\\") || token(around: index) != nil
    }
}
