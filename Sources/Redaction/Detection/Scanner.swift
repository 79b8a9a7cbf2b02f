import CTextScan

/// Finds sensitive values in one text, in one pass and without backtracking.
///
/// The pass looks at 64 bytes at a time for the few things that every value has one of: a run of digits, one of `@ : =`, five
/// hyphens, or sixteen letters and digits in a row. Prose has next to none of them. Where one is, the detectors it can belong to look
/// around in a window of bounded size; the first that accepts wins, and the pass goes on after its value. Regular expressions alone
/// could check neither check digits nor contexts.
struct Scanner {
    let text: Text
    let enabled: KindSet
    /// A name that the text is the value of, such as the attribute's key: a context for numbers that need one.
    let name: Text
    /// End of the last match: nothing before it is looked at again.
    private(set) var floor = 0

    init(_ text: Text, name: Text, enabled: KindSet) {
        self.text = text
        self.name = name
        self.enabled = enabled
    }

    /// Length of a run of token characters that may be a secret: the shortest known, a Slack token's body aside, has 20.
    private static let tokenRunMin = 16
    private static let blockBytes = 64

    /// Bytes of a block at which something may be: a bit each.
    private struct Triggers {
        let all: UInt64
        /// Those that are the sixteenth character of a token.
        let tokens: UInt64
    }

    /// Runs that reach into a block from the ones before it.
    private struct Carry {
        var digits: UInt64 = 0
        var tokens: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
        var dashes: (UInt64, UInt64, UInt64) = (0, 0, 0)

        /// Each byte where something may be: the first digit of a run, a mark, the fourth hyphen in a row, the sixteenth character
        /// of a token.
        @inline(__always)
        mutating func triggers(_ masks: ctextscan_masks) -> Triggers {
            let digitStarts = masks.digits & ~(masks.digits << 1 | digits >> 63)
            let two = masks.tokens & (masks.tokens << 1 | tokens.0 >> 63)
            let four = two & (two << 2 | tokens.1 >> 62)
            let eight = four & (four << 4 | tokens.2 >> 60)
            let sixteen = eight & (eight << 8 | tokens.3 >> 56)
            let tokenStarts = sixteen & ~(sixteen << 1 | tokens.4 >> 63)
            let dashTwo = masks.dashes & (masks.dashes << 1 | dashes.0 >> 63)
            let dashFour = dashTwo & (dashTwo << 2 | dashes.1 >> 62)
            let dashStarts = dashFour & ~(dashFour << 1 | dashes.2 >> 63)
            digits = masks.digits
            tokens = (masks.tokens, two, four, eight, sixteen)
            dashes = (masks.dashes, dashTwo, dashFour)
            return Triggers(all: digitStarts | masks.marks | tokenStarts | dashStarts, tokens: tokenStarts)
        }
    }

    /// Calls `found` for each value, in order; they do not overlap.
    @inline(__always)
    mutating func scan(_ found: (Match) -> Void) {
        if let match = leadingCredentials() { accept(match, found) }
        var carry = Carry()
        var offset = 0
        while text.count - offset >= Self.blockBytes {
            let triggers = carry.triggers(ctextscan_block(text.pointer(at: offset)))
            if triggers.all != 0 { look(at: triggers, offset, found) }
            offset += Self.blockBytes
        }
        guard offset < text.count else { return }
        var last: (SIMD64<UInt8>) = SIMD64(repeating: 0)
        withUnsafeMutableBytes(of: &last) { $0.copyMemory(from: text.bytes(offset, text.count)) }
        let masks = withUnsafeBytes(of: &last) { bytes in
            // The vector is 64 bytes long.
            ctextscan_block(bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self))
        }
        let triggers = carry.triggers(masks)
        if triggers.all != 0 { look(at: triggers, offset, found) }
    }

    private mutating func accept(_ match: Match, _ found: (Match) -> Void) {
        found(match)
        floor = match.end
    }

    @inline(never)
    private mutating func look(at triggers: Triggers, _ offset: Int, _ found: (Match) -> Void) {
        var rest = triggers.all
        while rest != 0 {
            let bit = rest.trailingZeroBitCount
            rest &= rest - 1
            let index = offset + bit
            guard index >= floor else { continue }
            let isToken = triggers.tokens >> UInt64(bit) & 1 == 1
            guard let match = match(at: index) ?? (isToken ? token(around: index) : nil), match.start >= floor, match.end > index else {
                continue
            }
            accept(match, found)
        }
    }

    private func match(at index: Int) -> Match? {
        switch text[index] {
        case UInt8(ascii: "@"): email(at: index)
        case UInt8(ascii: ":"): colon(at: index)
        case UInt8(ascii: "="): assignment(at: index)
        case UInt8(ascii: "-"): privateKey(at: index)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): ASCII.isDigit(text[index - 1]) ? nil : number(at: index)
        default: nil
        }
    }

    private func colon(at index: Int) -> Match? {
        if text[index + 1] == UInt8(ascii: "/") || text[index + 1] == UInt8(ascii: "\\") { return url(at: index) }
        if let match = assignment(at: index) { return match }
        guard ASCII.isHex(text[index + 1]) || text[index + 1] == UInt8(ascii: ":") else { return nil }
        return macAddress(at: index) ?? ipv6(at: index)
    }

    /// Everything that starts with, or has early, a digit; most special first, so that of two that fit the surer one wins.
    private func number(at digit: Int) -> Match? {
        var index = digit
        // The four digits of `\u003c` belong to the escape.
        if text[index - 1] == UInt8(ascii: "u"), text.isUnicodeEscape(at: index - 2) { index += 4 }
        guard ASCII.isDigit(text[index]) else { return nil }
        if ASCII.isLetter(text[index - 1]) || text[index - 1] == 0x20 {
            if let match = iban(at: index) ?? nino(at: index) { return match }
        }
        guard !enabled.isDisjoint(with: .numbers), numberCanStart(index) else { return nil }
        return ipv4(at: index) ?? macAddress(at: text.run(from: index, limit: 3, ASCII.isHex)) ?? nationalNumber(at: index)
            ?? card(at: index) ?? dateOfBirth(at: index) ?? phone(at: index)
    }

    /// Whether a number may start at `index`: not inside a word, an identifier, a version or a path.
    func numberCanStart(_ index: Int) -> Bool {
        let before = text[index - 1]
        if ASCII.isWord(before) { return text.isEscapeEnd(index) }
        switch before {
        case UInt8(ascii: "-"), UInt8(ascii: "."): return !ASCII.isWord(text[index - 2])
        case UInt8(ascii: "/"): return !ASCII.isWord(text[index - 2]) || text[index - 2] == UInt8(ascii: "\\")
        default: return true
        }
    }

    /// Whether a number may end before `index`.
    func numberCanEnd(_ index: Int) -> Bool {
        let next = text[index]
        if ASCII.isWord(next) || next == UInt8(ascii: "@") { return false }
        switch next {
        case UInt8(ascii: "-"): return !ASCII.isWord(text[index + 1])
        case UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: ":"): return !ASCII.isDigit(text[index + 1])
        default: return true
        }
    }

    /// Whether one of `words` (small letters) stands shortly before `index`, or in the name the text is the value of.
    func hasContext(_ words: [StaticString], before index: Int, reach: Int) -> Bool {
        text.hasWord(words, before: index, reach: reach) || name.hasWord(words, before: name.count, reach: reach)
    }
}
