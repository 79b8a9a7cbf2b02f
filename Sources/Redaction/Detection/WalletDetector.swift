import Crypto

/// Addresses of cryptocurrencies: Bitcoin with its check sums, Ethereum by its form.
extension Scanner {
    func wallet(_ start: Int, _ end: Int) -> Match? {
        let length = end - start
        switch text[start] {
        case UInt8(ascii: "1"), UInt8(ascii: "3"):
            return (26...35).contains(length) && isBase58Check(start, end) ? Match(.cryptoWallet, start, end) : nil
        case UInt8(ascii: "b"), UInt8(ascii: "B"):
            return (42...62).contains(length) && isBech32(start, end) ? Match(.cryptoWallet, start, end) : nil
        case UInt8(ascii: "0"):
            guard length == 42, text[start + 1] | 0x20 == UInt8(ascii: "x") else { return nil }
            for index in start + 2..<end where !ASCII.isHex(text[index]) { return nil }
            return Match(.cryptoWallet, start, end)
        default: return nil
        }
    }

    /// Bitcoin's addresses of version 0 and 5: 25 bytes in base 58, the last four being the start of a double SHA-256.
    private func isBase58Check(_ start: Int, _ end: Int) -> Bool {
        var bytes = SIMD32<UInt8>(repeating: 0)
        for index in start..<end {
            guard var carry = Self.base58Value(text[index]) else { return false }
            for position in stride(from: 24, through: 0, by: -1) {
                carry += Int(bytes[position]) * 58
                bytes[position] = UInt8(truncatingIfNeeded: carry)
                carry >>= 8
            }
            guard carry == 0 else { return false }
        }
        guard bytes[0] == 0 || bytes[0] == 5 else { return false }
        // Each leading 1 is a byte of zeros, and the number does not tell how many there are.
        let ones = text.run(from: start, limit: end - start) { $0 == UInt8(ascii: "1") } - start
        guard (0..<25).first(where: { bytes[$0] != 0 }) == ones else { return false }
        let digest = withUnsafeBytes(of: &bytes) { all in
            SHA256.digest(UnsafeRawBufferPointer(rebasing: all[0..<21])).withUnsafeBytes { SHA256.digest($0) }
        }
        return (0..<4).allSatisfy { digest[$0] == bytes[21 + $0] }
    }

    private static func base58Value(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "1")...UInt8(ascii: "9"): Int(byte) - 49
        case UInt8(ascii: "A")...UInt8(ascii: "H"): Int(byte) - 65 + 9
        case UInt8(ascii: "J")...UInt8(ascii: "N"): Int(byte) - 74 + 17
        case UInt8(ascii: "P")...UInt8(ascii: "Z"): Int(byte) - 80 + 22
        case UInt8(ascii: "a")...UInt8(ascii: "k"): Int(byte) - 97 + 33
        case UInt8(ascii: "m")...UInt8(ascii: "z"): Int(byte) - 109 + 44
        default: nil
        }
    }

    private func isBech32(_ start: Int, _ end: Int) -> Bool {
        guard text.hasAnyCase("bc1", at: start) else { return false }
        let alphabet: StaticString = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
        var data = Digits()
        // In one case, whichever.
        var cases: UInt8 = 0
        for index in start..<end where ASCII.isLetter(text[index]) { cases |= text[index] & 0x20 == 0 ? 1 : 2 }
        guard cases != 3 else { return false }
        for index in start + 3..<end {
            let byte = ASCII.lower(text[index])
            guard let value = (0..<32).first(where: { alphabet.utf8Start[$0] == byte }) else { return false }
            data.append(UInt8(value))
        }
        return Checksums.segwit(data, hrp: "bc")
    }
}
