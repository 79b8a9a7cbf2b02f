/// International bank account numbers of ISO 13616.
extension Scanner {
    private static var charactersMax: Int { 34 }

    /// `index` is at the first of the two check digits.
    func iban(at index: Int) -> Match? {
        let start = index - 2
        guard enabled.has(.iban), start >= floor, ASCII.isLetter(text[start]), ASCII.isLetter(text[start + 1]),
            ASCII.isDigit(text[index + 1]), !ASCII.isWord(text[start - 1]) || text.isEscapeEnd(start)
        else { return nil }
        let length = Self.length(of: (text[start] & 0xDF, text[start + 1] & 0xDF))
        guard length > 0 else { return nil }
        var characters = Digits()
        var position = start
        while characters.count < length {
            let byte = text[position]
            if ASCII.isDigit(byte) {
                characters.append(byte &- 48)
            } else if ASCII.isLetter(byte) {
                characters.append((byte & 0xDF) &- 55)
            } else if characters.count < 4 || !(byte == 0x20 || byte == UInt8(ascii: "-")) || !ASCII.isAlphanumeric(text[position + 1]) {
                return nil
            }
            position += 1
        }
        // ISO 7064 gives check digits of 02 to 98; the other three leave the same remainders.
        let check = characters[2] * 10 + characters[3]
        guard !ASCII.isWord(text[position]), (2...98).contains(check), Checksums.mod97(characters) else { return nil }
        return Match(.iban, start, position)
    }

    /// Characters of a country's IBAN, 0 for countries without (registry of SWIFT, release 98).
    private static func length(of country: (UInt8, UInt8)) -> Int {
        let code = UInt16(country.0) << 8 | UInt16(country.1)
        for (length, countries) in registry {
            var offset = 0
            while offset < countries.utf8CodeUnitCount {
                if UInt16(countries.utf8Start[offset]) << 8 | UInt16(countries.utf8Start[offset + 1]) == code { return length }
                offset += 2
            }
        }
        return 0
    }

    private static let registry: [(Int, StaticString)] = [
        (15, "NO"), (16, "BE"), (18, "DKFIFKFOGLNLSD"), (19, "MKSI"), (20, "ATBAEEKZLTLUMNXK"), (21, "CHHRLILV"),
        (22, "BGBHCRDEGBGEIEMERSVA"), (23, "AEGIILIQOMSOTL"), (24, "ADCZESMDPKROSASESKTNVG"), (25, "LYPTST"), (26, "ISTR"),
        (27, "BIDJFRGRITMCMRSM"), (28, "ALAZBYCYDOGTHNHULBNIPLSV"), (29, "BREGPSQAUA"), (30, "JOKWMUYE"), (31, "MTSC"),
        (32, "LC"), (33, "RU"),
    ]
}
