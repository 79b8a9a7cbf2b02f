/// Credentials that are known by what stands around them: `Authorization` values, passwords in connection strings, PEM keys.
extension Scanner {
    /// Longest URL user info, password or header value looked at.
    private static var valueBytesMax: Int { 2048 }
    /// Longest private key: RSA of 16,384 bits takes 12.7 KB.
    private static var privateKeyBytesMax: Int { 16 * 1024 }

    // MARK: Authorization

    /// A text that is nothing but a scheme and credentials: the value of a header.
    func leadingCredentials() -> Match? {
        guard enabled.has(.secrets), text[0] & 0xDF == UInt8(ascii: "B"), text.count <= Self.valueBytesMax else { return nil }
        let start: Int
        if text.hasAnyCase("bearer ", at: 0) { start = 7 } else if text.hasAnyCase("basic ", at: 0) { start = 6 } else { return nil }
        let end = text.run(from: start, Self.isCredential)
        // Shorter ones are prose: `Basic idea`.
        return end == text.count && end - start >= 8 && (start..<end).contains { !ASCII.isLower(text[$0]) }
            ? Match(.secrets, start, end) : nil
    }

    /// `index` is at `:` or `=`; what decides is the name before it.
    func assignment(at index: Int) -> Match? {
        guard enabled.has(.secrets) else { return nil }
        let nameEnd = text.runStart(before: index, limit: 3) { byte in
            byte == UInt8(ascii: "\"") || byte == 0x20 || byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\\")
        }
        switch text[nameEnd - 1] | 0x20 {
        case UInt8(ascii: "n"): return authorization(nameEnd, index)
        case UInt8(ascii: "d"): return password(nameEnd, index)
        case UInt8(ascii: "y"): return secretKey(nameEnd, index)
        default: return nil
        }
    }

    private func authorization(_ nameEnd: Int, _ index: Int) -> Match? {
        guard text.hasAnyCase("authorization", at: nameEnd - 13) else { return nil }
        let schemeStart = valueStart(after: index)
        let schemeEnd = text.run(from: schemeStart, limit: 32, ASCII.isToken)
        var start = schemeStart
        if text[schemeEnd] == 0x20, schemeEnd > schemeStart { start = text.run(from: schemeEnd, limit: 4) { $0 == 0x20 } }
        // Digest and the like have a list of parameters.
        let hasParameters = text.hasAnyCase("digest", at: schemeStart) || text.hasAnyCase("aws4-hmac", at: schemeStart)
        let end = text.run(from: start, limit: Self.valueBytesMax) { byte in
            hasParameters ? byte != 0x0A && byte != 0x0D && byte != 0 && byte != UInt8(ascii: "\\") : Self.isCredential(byte)
        }
        return end - start >= 4 && start >= floor ? Match(.secrets, start, end) : nil
    }

    // MARK: Connection strings

    /// `Password=…;`, `pwd=…`: only the password.
    private func password(_ nameEnd: Int, _ index: Int) -> Match? {
        guard text[index] == UInt8(ascii: "=") else { return nil }
        let isPassword = text.hasAnyCase("password", at: nameEnd - 8) || text.hasAnyCase("passwd", at: nameEnd - 6)
        let isShort = text.hasAnyCase("pwd", at: nameEnd - 3) && !ASCII.isLetter(text[nameEnd - 4])
        guard isPassword || isShort else { return nil }
        return value(after: index, bytesMin: 3)
    }

    /// AWS secret access keys, which have no form of their own, and Azure's account keys.
    private func secretKey(_ nameEnd: Int, _ index: Int) -> Match? {
        let isNamed =
            text.hasAnyCase("secret_access_key", at: nameEnd - 17) || text.hasAnyCase("secretaccesskey", at: nameEnd - 15)
            || text.hasAnyCase("accountkey", at: nameEnd - 10) || text.hasAnyCase("sharedaccesskey", at: nameEnd - 15)
        return isNamed ? value(after: index, bytesMin: 20) : nil
    }

    private func value(after index: Int, bytesMin: Int) -> Match? {
        let start = valueStart(after: index)
        let end = text.run(from: start, limit: Self.valueBytesMax) { byte in
            byte > 0x20 && byte != UInt8(ascii: ";") && byte != UInt8(ascii: "&") && byte != UInt8(ascii: "\"")
                && byte != UInt8(ascii: "'") && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: ",")
        }
        // A placeholder or an already masked value.
        let isPlaceholder =
            text[start] == UInt8(ascii: "<") || text.has("${", at: start) || text.has("{{", at: start)
            || text.run(from: start, { $0 == UInt8(ascii: "*") }) == end
        guard end - start >= bytesMin, start >= floor, !isPlaceholder else { return nil }
        return Match(.secrets, start, end)
    }

    private func valueStart(after index: Int) -> Int {
        text.run(from: index + 1, limit: 4) { byte in
            byte == 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\\")
        }
    }

    /// `scheme://user:password@host`; `index` is at the scheme's colon. Slashes may be written `\/`.
    func url(at index: Int) -> Match? {
        guard enabled.has(.secrets) || enabled.has(.urlCredentials), ASCII.isAlphanumeric(text[index - 1]) else { return nil }
        var start = index + 1
        for _ in 0..<2 {
            if text[start] == UInt8(ascii: "\\") { start += 1 }
            guard text[start] == UInt8(ascii: "/") else { return nil }
            start += 1
        }
        var colon: Int?
        var at: Int?
        var position = start
        while position - start < Self.valueBytesMax, Self.isAuthority(text[position]) {
            if text[position] == UInt8(ascii: ":"), colon == nil { colon = position }
            if text[position] == UInt8(ascii: "@") { at = position }
            position += 1
        }
        guard let at, at > start else { return nil }
        if enabled.has(.urlCredentials), !enabled.has(.secrets) || isWebScheme(before: index) { return Match(.urlCredentials, start, at) }
        guard let colon, colon + 1 < at else { return nil }
        return Match(.secrets, colon + 1, at)
    }

    /// Other schemes are those of connection strings, where the user's name is worth keeping.
    private func isWebScheme(before index: Int) -> Bool {
        let start = text.runStart(before: index, limit: 8, ASCII.isLetter)
        return Self.webSchemes.contains { $0.utf8CodeUnitCount == index - start && text.hasAnyCase($0, at: start) }
    }

    private static let webSchemes: [StaticString] = ["http", "https", "ftp", "ftps", "sftp", "ssh", "git", "ws", "wss"]

    private static func isAuthority(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "<"),
            UInt8(ascii: ">"), UInt8(ascii: "\\"), UInt8(ascii: "`"), 0x7F:
            false
        default: byte > 0x20
        }
    }

    // MARK: Private keys

    /// RFC 7468: from `-----BEGIN … PRIVATE KEY-----` to its end line, or as far as the base64 goes when the end is cut off.
    /// `index` is at the fourth of the first hyphens.
    func privateKey(at index: Int) -> Match? {
        let start = index - 3
        guard enabled.has(.secrets), start >= floor, text.has("-----BEGIN ", at: start) else { return nil }
        let labelEnd = text.run(from: start + 11, limit: 40) { ASCII.isUpper($0) || $0 == 0x20 }
        guard text.has("PRIVATE KEY-----", at: labelEnd - 11) || text.has("PRIVATE KEY BLOCK-----", at: labelEnd - 17) else { return nil }
        let body = labelEnd + 5
        var end = body
        // Base64, line ends (also escaped ones), and the headers of older formats.
        while end - body < Self.privateKeyBytesMax, end < text.count, !text.has("-----", at: end), text[end] != UInt8(ascii: "\"") {
            end += 1
        }
        if text.has("-----END ", at: end) {
            let stop = text.run(from: end + 9, limit: 40) { ASCII.isUpper($0) || $0 == 0x20 }
            end = text.run(from: stop, limit: 5) { $0 == UInt8(ascii: "-") }
        }
        return Match(.secrets, start, end)
    }
}
