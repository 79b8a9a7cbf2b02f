import CTextScan

/// Finds sensitive values in one text, in one pass and without backtracking.
///
/// The pass looks at 64 bytes at a time for the few things that every value has one of, its anchors (see `ctextscan.h`): a run of
/// digits that is not part of a word, one of `@ : =`, four hyphens, or sixteen letters and digits in a row. Prose has next to none
/// of them. Where one is, the detectors it can belong to look around in a window of bounded size; the first that accepts wins, and
/// the pass goes on after its value. Regular expressions alone could check neither check digits nor contexts.
struct Scanner {
    let text: Text
    let enabled: KindSet
    /// A name that the text is the value of, such as the attribute's key: a context for numbers that need one.
    let name: Text
    let keys: KeyForms
    /// End of the last match: nothing before it is looked at again.
    var floor = 0
    @inline(__always)
    init(_ text: Text, name: Text, enabled: KindSet, keys: KeyForms) {
        self.text = text
        self.name = name
        self.enabled = enabled
        self.keys = keys
    }

    /// Calls `found` for each value, in order; they do not overlap. To be called once.
    /// - Parameter anchors: of the text, at the first one.
    @inline(__always)
    mutating func scan(_ anchors: inout AnchorPass, _ found: (Match) -> Void) {
        if let match = leadingCredentials() {
            found(match)
            floor = match.end
        }
        while let anchor = anchors.next(in: text) {
            if let match = visit(anchor.index, isToken: anchor.isToken) { found(match) }
        }
    }

    /// Has the detectors look at the anchor at `index`, which is the sixteenth character of a token when `isToken`.
    mutating func visit(_ index: Int, isToken: Bool) -> Match? {
        guard index >= floor, let match = match(at: index) ?? (isToken ? token(around: index) : nil), match.start >= floor,
            match.end > index
        else { return nil }
        floor = match.end
        return match
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
        if let match = ipv4(at: index) ?? macAddress(at: text.run(from: index, limit: 3, ASCII.isHex)) { return match }
        guard text.hasDigits(Self.digitsMin, from: index, reach: Self.digitsReach) else { return dateOfBirth(at: index) }
        return nationalNumber(at: index) ?? card(at: index) ?? dateOfBirth(at: index) ?? phone(at: index)
    }

    /// A phone number has this many digits, all other numbers but addresses and dates more.
    static let digitsMin = 7
    /// So many digits with three separators between any two, as many as a phone number may have.
    static let digitsReach = 25

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

/// A pass over the anchors of one text.
struct AnchorPass {
    private var block = ctextscan_anchors()
    /// Anchors of the block that are still to come.
    private var rest: UInt64 = 0
    /// Where the next block starts; 0 when there are no more.
    private var nextBlock = 0

    /// Goes to the first anchor. False, for most texts, when there is none, and nothing to be found.
    /// - Parameter quietEnd: those before are left out, but for some of the same block.
    @inline(__always)
    mutating func start(in text: Text, quietEnd: Int) -> Bool {
        nextBlock = quietEnd & ~63
        advance(in: text)
        return nextBlock != 0 || text[0] | 0x20 == UInt8(ascii: "b")
    }

    @inline(__always)
    private mutating func advance(in text: Text) {
        nextBlock = ctextscan_next(text.start, text.count, nextBlock, false, &block)
        rest = nextBlock == 0 ? 0 : block.all
    }

    /// Where the next anchor is, and whether it is the sixteenth character of a token.
    @inline(__always)
    mutating func next(in text: Text) -> (index: Int, isToken: Bool)? {
        while rest == 0 {
            if nextBlock == 0 { return nil }
            advance(in: text)
        }
        let bit = UInt64(rest.trailingZeroBitCount)
        rest &= rest &- 1
        return (block.offset &+ Int(bit), block.tokens &>> bit & 1 == 1)
    }
}
