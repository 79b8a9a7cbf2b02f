/// Keys and tokens that are known by their form.
extension Scanner {
    /// Longest key looked at; longer ones are redacted up to here and then, as the rest of a run, to its end.
    static var keyBytesMax: Int { 4096 }
    /// Length of a run of token characters that may be a secret: the shortest known, a Slack token's body aside, has 20.
    private static var tokenRunMin: Int { 16 }

    /// A key in the run of token characters around `index`, which has at least sixteen before it.
    func token(around index: Int) -> Match? {
        let runStart = text.tokenStart(before: index, limit: Self.keyBytesMax)
        let start = max(floor, runStart)
        let end = text.tokenEnd(from: index, limit: Self.keyBytesMax)
        guard end - start >= Self.tokenRunMin else { return nil }
        if enabled.has(.secrets), let match = secret(start, end, runStart) { return match }
        if enabled.has(.cryptoWallet), let match = wallet(start, end) { return match }
        if enabled.has(.macAddress), end - start == 17 { return macAddress(at: start + 2) }
        return nil
    }

    private func secret(_ start: Int, _ end: Int, _ runStart: Int) -> Match? {
        switch text[start - 1] {
        case UInt8(ascii: "."): if let match = dottedKey(start) { return match }
        case 0x20: if let match = bearer(start, end) { return match }
        case UInt8(ascii: "/"): if let match = webhook(start, end) { return match }
        default: break
        }
        if text[end] == UInt8(ascii: "."), let match = webToken(start, end) { return match }
        if let stop = key(at: start) { return Match(.secrets, start, stop) }
        // Of an escape whose backslash stands before the run, only the first or the first five characters belong to the run.
        if text[runStart - 1] == UInt8(ascii: "\\") {
            for position in runStart + 1..<min(runStart + 6, end) where position > start && isKeyBoundary(position) {
                if let stop = key(at: position) { return Match(.secrets, position, stop) }
            }
        }
        for base in stride(from: start, to: end, by: 64) {
            var joints = text.joints(from: base, to: end)
            while joints != 0 {
                let position = base + joints.trailingZeroBitCount + 1
                joints &= joints &- 1
                if let stop = key(at: position) { return Match(.secrets, position, stop) }
            }
        }
        return nil
    }

    /// Keys are also found after a hyphen, an underscore or an escape: `token_ghp_…`, `\nghp_…`.
    private func isKeyBoundary(_ index: Int) -> Bool {
        let before = text[index - 1]
        return before == UInt8(ascii: "-") || before == UInt8(ascii: "_") || text.isEscapeEnd(index)
    }

    /// End of the key of a known form that starts at `index`.
    private func key(at index: Int) -> Int? {
        var candidates = keys.candidates(text[index], text[index + 1], text[index + 2])
        while candidates != 0 {
            let form = keys[candidates.trailingZeroBitCount]
            candidates &= candidates &- 1
            guard text.has(form.prefix, at: index) else { continue }
            let body = index + form.prefix.utf8CodeUnitCount
            var end = text.run(from: body, limit: form.lengths.upperBound) { form.accepts($0) }
            while end > body, text[end - 1] == UInt8(ascii: ".") { end -= 1 }
            guard end - body >= form.lengths.lowerBound else { continue }
            // An exact length must be followed by something else.
            if form.lengths.count == 1, form.accepts(text[end]) { continue }
            guard isRandom(body, end) else { continue }
            return end
        }
        return nil
    }

    /// Slugs and identifiers have no digits, or are all digits: `sk-learn-something-longer`.
    private func isRandom(_ start: Int, _ end: Int) -> Bool {
        var digits = 0
        var letters = 0
        for index in start..<end {
            if ASCII.isDigit(text[index]) { digits += 1 }
            if ASCII.isLetter(text[index]) { letters += 1 }
        }
        return digits > 0 && letters > 0
    }

    /// JSON Web Tokens (RFC 7519): three parts with dots between, the first two being JSON objects in base64url.
    private func webToken(_ start: Int, _ end: Int) -> Match? {
        var position = start
        while position < end, !text.has("eyJ", at: position) || position > start && !isKeyBoundary(position) { position += 1 }
        guard position < end else { return nil }
        var stop = text.tokenEnd(from: end + 1, limit: Self.keyBytesMax)
        guard stop - end > 8 else { return nil }
        if text[stop] == UInt8(ascii: ".") { stop = text.tokenEnd(from: stop + 1, limit: Self.keyBytesMax) }
        return Match(.secrets, position, stop)
    }

    /// Keys with a dot near their start: the run that was found begins after it.
    private func dottedKey(_ start: Int) -> Match? {
        for prefix in Self.dottedPrefixes where text.has(prefix, at: start - prefix.utf8CodeUnitCount) {
            let keyStart = start - prefix.utf8CodeUnitCount
            guard keyStart >= floor, !ASCII.isWord(text[keyStart - 1]) || text.isEscapeEnd(keyStart) else { continue }
            if let stop = key(at: keyStart) { return Match(.secrets, keyStart, stop) }
        }
        return nil
    }

    private static let dottedPrefixes: [StaticString] = ["SG.", "ya29.", "xoxe."]

    /// What follows `Bearer ` (RFC 6750) is a credential whatever it looks like.
    private func bearer(_ start: Int, _ end: Int) -> Match? {
        guard text.hasAnyCase("bearer", at: start - 7) else { return nil }
        let stop = text.run(from: start, limit: Self.keyBytesMax, Self.isCredential)
        return stop - start >= 16 ? Match(.secrets, start, stop) : nil
    }

    /// Slack's incoming webhooks: whoever has the address can post.
    private func webhook(_ start: Int, _ end: Int) -> Match? {
        let reach = text.runStart(before: start, limit: 60) { ASCII.isToken($0) || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ".") }
        var position = reach
        while position < start {
            if text.has("hooks.slack.com/services/", at: position), position + 25 >= floor { return Match(.secrets, position + 25, end) }
            position += 1
        }
        return nil
    }

    /// RFC 9110's token68 and the characters of most other credentials.
    static func isCredential(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="), UInt8(ascii: ":"): true
        default: ASCII.isToken(byte)
        }
    }
}
