/// Keys and tokens that are known by their form.
extension Scanner {
    /// How a provider's keys look: a prefix, then so many characters of a class.
    struct KeyForm: Sendable {
        enum Alphabet: Sendable { case upper, alphanumeric, word, token, tokenAndDots }

        let prefix: StaticString
        let alphabet: Alphabet
        let lengths: ClosedRange<Int>

        init(_ prefix: StaticString, _ alphabet: Alphabet, _ lengths: ClosedRange<Int>) {
            self.prefix = prefix
            self.alphabet = alphabet
            self.lengths = lengths
        }

        @inline(__always)
        func accepts(_ byte: UInt8) -> Bool {
            switch alphabet {
            case .upper: ASCII.isUpper(byte) || ASCII.isDigit(byte)
            case .alphanumeric: ASCII.isAlphanumeric(byte)
            case .word: ASCII.isWord(byte)
            case .token: ASCII.isToken(byte)
            case .tokenAndDots: ASCII.isToken(byte) || byte == UInt8(ascii: ".")
            }
        }
    }

    /// Longest key looked at; longer ones are redacted up to here and then, as the rest of a run, to its end.
    static var keyBytesMax: Int { 4096 }

    /// From the providers' documentation. Lengths leave room for growth.
    static let keyForms: [KeyForm] = allForms.sorted { $0.prefix.utf8Start[0] < $1.prefix.utf8Start[0] }
    private static let formIndex = FormIndex(keyForms)

    /// Where the forms that start with a byte are in `keyForms`.
    private struct FormIndex: Sendable {
        private let starts: [UInt8]

        init(_ forms: [KeyForm]) {
            starts = (0...256).map { byte in UInt8(forms.count { Int($0.prefix.utf8Start[0]) < byte }) }
        }

        func range(of byte: UInt8) -> Range<Int> { Int(starts[Int(byte)])..<Int(starts[Int(byte) + 1]) }
    }

    private static let allForms: [KeyForm] = [
        // AWS access key ids
        KeyForm("AKIA", .upper, 16...16), KeyForm("ASIA", .upper, 16...16), KeyForm("ABIA", .upper, 16...16),
        KeyForm("ACCA", .upper, 16...16),
        // GitHub, GitLab
        KeyForm("ghp_", .alphanumeric, 36...255), KeyForm("gho_", .alphanumeric, 36...255), KeyForm("ghu_", .alphanumeric, 36...255),
        KeyForm("ghs_", .tokenAndDots, 36...1024), KeyForm("ghr_", .alphanumeric, 36...255), KeyForm("github_pat_", .word, 22...255),
        KeyForm("glpat-", .tokenAndDots, 20...300), KeyForm("gldt-", .token, 20...300), KeyForm("glrt-", .tokenAndDots, 20...300),
        KeyForm("glptt-", .token, 20...300), KeyForm("glcbt-", .token, 20...300), KeyForm("glsoat-", .token, 20...300),
        // Slack
        KeyForm("xoxb-", .token, 10...255), KeyForm("xoxp-", .token, 10...255), KeyForm("xoxa-", .token, 10...255),
        KeyForm("xoxr-", .token, 10...255), KeyForm("xoxs-", .token, 10...255), KeyForm("xoxe-", .token, 10...255),
        KeyForm("xoxe.xoxp-", .token, 10...255), KeyForm("xapp-", .token, 10...255),
        // Stripe
        KeyForm("sk_live_", .alphanumeric, 16...255), KeyForm("sk_test_", .alphanumeric, 16...255),
        KeyForm("rk_live_", .alphanumeric, 16...255), KeyForm("rk_test_", .alphanumeric, 16...255),
        KeyForm("whsec_", .alphanumeric, 16...255),
        // OpenAI, Anthropic and others whose keys start like theirs
        KeyForm("sk-ant-", .token, 20...255), KeyForm("sk-proj-", .token, 20...255), KeyForm("sk-svcacct-", .token, 20...255),
        KeyForm("sk-admin-", .token, 20...255), KeyForm("sk-", .token, 20...255), KeyForm("sess-", .alphanumeric, 40...255),
        // Google
        KeyForm("AIza", .token, 35...35), KeyForm("GOCSPX-", .token, 28...28), KeyForm("ya29.", .token, 20...1024),
        // Hugging Face, npm, PyPI, SendGrid
        KeyForm("hf_", .alphanumeric, 30...64), KeyForm("npm_", .alphanumeric, 36...36), KeyForm("pypi-", .token, 50...512),
        KeyForm("SG.", .tokenAndDots, 60...80),
        // Groq, xAI, Replicate, LangSmith, DigitalOcean, Shopify, Telegram-like forms are left to custom rules
        KeyForm("gsk_", .alphanumeric, 40...128), KeyForm("xai-", .alphanumeric, 40...128), KeyForm("r8_", .alphanumeric, 37...37),
        KeyForm("lsv2_", .word, 32...128), KeyForm("dop_v1_", .alphanumeric, 64...64), KeyForm("shpat_", .alphanumeric, 32...32),
    ]

    /// A key in the run of token characters around `index`, which has at least sixteen before it.
    func token(around index: Int) -> Match? {
        let start = max(floor, text.runStart(before: index, limit: Self.keyBytesMax, ASCII.isToken))
        let end = text.run(from: index, limit: Self.keyBytesMax, ASCII.isToken)
        guard end - start >= 16 else { return nil }
        if enabled.has(.secrets), let match = secret(start, end) { return match }
        if enabled.has(.cryptoWallet), let match = wallet(start, end) { return match }
        if enabled.has(.macAddress), end - start == 17 { return macAddress(at: start + 2) }
        return nil
    }

    private func secret(_ start: Int, _ end: Int) -> Match? {
        switch text[start - 1] {
        case UInt8(ascii: "."): if let match = dottedKey(start) { return match }
        case 0x20: if let match = bearer(start, end) { return match }
        case UInt8(ascii: "/"): if let match = webhook(start, end) { return match }
        default: break
        }
        if text[end] == UInt8(ascii: "."), let match = webToken(start, end) { return match }
        var position = start
        while position < end {
            if position == start || isKeyBoundary(position), let stop = key(at: position) { return Match(.secrets, position, stop) }
            position += 1
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
        let second = text[index + 1]
        for form in Self.keyForms[Self.formIndex.range(of: text[index])] where form.prefix.utf8Start[1] == second {
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
        var stop = text.run(from: end + 1, limit: Self.keyBytesMax, ASCII.isToken)
        guard stop - end > 8 else { return nil }
        if text[stop] == UInt8(ascii: ".") { stop = text.run(from: stop + 1, limit: Self.keyBytesMax, ASCII.isToken) }
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
