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

/// The forms of all providers we know, and an index of the first three bytes of their prefixes: most runs of letters and digits
/// are passed over by three look-ups.
struct KeyForms: @unchecked Sendable {
    static let shared = KeyForms(all)

    /// As many as a word has bits.
    private static let formsMax = 64
    /// In the index's words a bit each.
    private let forms: UnsafeMutablePointer<KeyForm>
    /// For the first byte, then the second, then the third: the forms that have it there. Never changed, lives as long as the process.
    private let index: UnsafeMutablePointer<UInt64>

    private init(_ list: [KeyForm]) {
        precondition(list.count <= Self.formsMax && list.allSatisfy { $0.prefix.utf8CodeUnitCount >= 3 })
        forms = .allocate(capacity: list.count)
        index = .allocate(capacity: 3 * 256)
        index.initialize(repeating: 0, count: 3 * 256)
        for (number, form) in list.enumerated() {
            (forms + number).initialize(to: form)
            for place in 0..<3 { index[256 * place + Int(form.prefix.utf8Start[place])] |= 1 << UInt64(number) }
        }
    }

    /// Forms whose prefix begins with these three bytes, a bit each, to be tried from the lowest on.
    @inline(__always)
    func candidates(_ first: UInt8, _ second: UInt8, _ third: UInt8) -> UInt64 {
        index[Int(first)] & index[256 &+ Int(second)] & index[512 &+ Int(third)]
    }

    @inline(__always)
    subscript(_ number: Int) -> KeyForm { forms[number] }

    /// From the providers' documentation. Lengths leave room for growth. Of two that fit the first counts.
    private static let all: [KeyForm] = [
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
}
