/// Payment cards and national identity numbers.
extension Scanner {
    // MARK: Cards

    /// 12 to 19 digits of a known issuer, bare or in groups parted by one kind of separator, with Luhn's check digit.
    func card(at index: Int) -> Match? {
        guard enabled.has(.creditCard) else { return nil }
        var digits = Digits()
        var position = index
        var separator: UInt8 = 0
        // Ends of groups, with the number of digits so far: `4111 1111 1111 1111 123` is a card and something else.
        var best: Int?
        while true {
            let end = text.run(from: position, limit: 20, ASCII.isDigit)
            guard end > position, digits.count + end - position <= 19 else { break }
            for digit in position..<end { digits.append(text[digit] &- 48) }
            if numberCanEnd(end) || text[end] == separator, isCard(digits) { best = end }
            let next = text[end]
            guard next == 0x20 || next == UInt8(ascii: "-"), separator == 0 || next == separator, end - position >= 3 else { break }
            separator = next
            position = end + 1
        }
        guard let end = best else { return nil }
        return Match(.creditCard, index, end)
    }

    private func isCard(_ digits: Digits) -> Bool {
        guard digits.count >= 12, digits.count <= 19, isIssued(digits) else { return false }
        return Checksums.luhn(digits)
    }

    /// Issuers' prefixes and lengths, from ISO/IEC 7812 and the networks' published ranges.
    private func isIssued(_ digits: Digits) -> Bool {
        let four = digits.number(4)
        let length = digits.count
        switch four {
        case 4000...4999: return length == 13 || length == 16 || length == 19
        case 5100...5599: return length == 16
        case 2221...2720: return length == 16
        case 2200...2204: return length >= 16
        case 3400...3499, 3700...3799: return length == 15
        case 3000...3059, 3095, 3600...3699, 3800...3999: return length >= 14
        case 3500...3599: return length >= 16
        case 2131, 1800: return length == 15
        case 6011, 6440...6599, 6200...6299: return length >= 16
        // Maestro and its national predecessors.
        case 5000...5099, 5600...5899, 6000...6999: return true
        default: return false
        }
    }

    // MARK: National numbers

    func nationalNumber(at index: Int) -> Match? {
        let length = text.run(from: index, limit: 13, ASCII.isDigit) - index
        switch length {
        case 2: return tripled(index, .auTFN, 2, 3, 3)
        case 3: return socialSecurity(at: index) ?? threes(at: index)
        case 4: return aadhaar(at: index)
        case 9: return bare(index, 9)
        case 10: return bare(index, 10)
        case 12: return aadhaar(at: index)
        default: return nil
        }
    }

    /// The Social Security Administration's numbers (`AAA-GG-SSSS`), and the tax office's that look like them.
    private func socialSecurity(at index: Int) -> Match? {
        let separator = text[index + 3]
        guard separator == UInt8(ascii: "-") || separator == 0x20, let digits = groups(index, separator, 3, 2, 4) else { return nil }
        let area = digits.number(3)
        let group = Int(digits[3]) * 10 + Int(digits[4])
        let hasSerial = digits[5] | digits[6] | digits[7] | digits[8] != 0
        if area >= 900 {
            let isITIN = (50...65).contains(group) || (70...88).contains(group) || (90...92).contains(group) || (94...99).contains(group)
            return enabled.has(.usITIN) && isITIN ? Match(.usITIN, index, index + 11) : nil
        }
        guard enabled.has(.usSSN), area != 0, area != 666, group != 0, hasSerial else { return nil }
        return Match(.usSSN, index, index + 11)
    }

    /// `123 456 789` and `943 476 5919`.
    private func threes(at index: Int) -> Match? {
        let separator = text[index + 3]
        guard separator == 0x20 || separator == UInt8(ascii: "-") else { return nil }
        if enabled.has(.ukNHS), let digits = groups(index, separator, 3, 3, 4), Checksums.nhs(digits) {
            return Match(.ukNHS, index, index + 12)
        }
        guard let digits = groups(index, separator, 3, 3, 3), let kind = nineDigits(digits, index) else { return nil }
        return Match(kind, index, index + 11)
    }

    private func tripled(_ index: Int, _ kind: Kind, _ first: Int, _ second: Int, _ third: Int) -> Match? {
        guard enabled.has(kind), hasContext(["tfn", "tax file"], before: index, reach: 32) else { return nil }
        guard groups(index, 0x20, first, second, third) != nil else { return nil }
        return Match(kind, index, index + first + second + third + 2)
    }

    /// Canadian and Australian numbers look the same; where both fit, the word before decides, else the Canadian one.
    private func nineDigits(_ digits: Digits, _ index: Int) -> Kind? {
        let isSIN = enabled.has(.caSIN) && isSIN(digits)
        let isTFN = enabled.has(.auTFN) && Checksums.tfn(digits)
        if isSIN && isTFN { return hasContext(["tfn", "tax file"], before: index, reach: 32) ? .auTFN : .caSIN }
        return isSIN ? .caSIN : isTFN ? .auTFN : nil
    }

    /// Without separators a number is one of these only where a word says so.
    private func bare(_ index: Int, _ length: Int) -> Match? {
        guard numberCanEnd(index + length) else { return nil }
        let digits = read(index, length)
        let kind: Kind
        if length == 10 {
            guard enabled.has(.ukNHS), Checksums.nhs(digits), hasContext(["nhs"], before: index, reach: 32) else { return nil }
            kind = .ukNHS
        } else if enabled.has(.usSSN), hasContext(["ssn", "social security"], before: index, reach: 32), isSSN(digits) {
            kind = .usSSN
        } else if enabled.has(.caSIN), hasContext(["sin", "social insurance"], before: index, reach: 32), isSIN(digits) {
            kind = .caSIN
        } else if enabled.has(.auTFN), hasContext(["tfn", "tax file"], before: index, reach: 32), Checksums.tfn(digits) {
            kind = .auTFN
        } else {
            return nil
        }
        return Match(kind, index, index + length)
    }

    /// Service Canada: none begins with 0 or 8.
    private func isSIN(_ digits: Digits) -> Bool { digits[0] != 0 && digits[0] != 8 && Checksums.luhn(digits) }

    private func isSSN(_ digits: Digits) -> Bool {
        let area = digits.number(3)
        return area != 0 && area != 666 && area < 900 && digits[3] | digits[4] != 0 && digits.number(9) % 10000 != 0
    }

    /// Unique Identification Authority of India: 12 digits, the first 2 to 9, Verhoeff's check digit; bare ones with a word.
    private func aadhaar(at index: Int) -> Match? {
        guard enabled.has(.inAadhaar), text[index] >= UInt8(ascii: "2") else { return nil }
        let separator = text[index + 4]
        if separator == 0x20 || separator == UInt8(ascii: "-") {
            guard let digits = groups(index, separator, 4, 4, 4), Checksums.verhoeff(digits) else { return nil }
            // Four more digits make it a card's first twelve.
            if text[index + 14] == separator, ASCII.isDigit(text[index + 15]) { return nil }
            return Match(.inAadhaar, index, index + 14)
        }
        guard numberCanEnd(index + 12), hasContext(["aadhaar", "aadhar", "uidai", "uid"], before: index, reach: 32),
            Checksums.verhoeff(read(index, 12))
        else { return nil }
        return Match(.inAadhaar, index, index + 12)
    }

    /// UK National Insurance number: two letters, six digits, A to D; `index` is at the first digit.
    func nino(at index: Int) -> Match? {
        guard enabled.has(.ukNINO) else { return nil }
        let lettersEnd = text[index - 1] == 0x20 ? index - 1 : index
        let start = lettersEnd - 2
        guard start >= floor, isNINOPrefix(start), !ASCII.isWord(text[start - 1]) || text.isEscapeEnd(start) else { return nil }
        var position = index
        for _ in 0..<3 {
            guard ASCII.isDigit(text[position]), ASCII.isDigit(text[position + 1]) else { return nil }
            position += 2
            if text[position] == 0x20 { position += 1 }
        }
        let suffix = text[position] & 0xDF
        guard suffix >= UInt8(ascii: "A"), suffix <= UInt8(ascii: "D"), !ASCII.isWord(text[position + 1]) else { return nil }
        return Match(.ukNINO, start, position + 1)
    }

    private func isNINOPrefix(_ start: Int) -> Bool {
        guard ASCII.isLetter(text[start]), ASCII.isLetter(text[start + 1]) else { return false }
        let pair = (text[start] & 0xDF, text[start + 1] & 0xDF)
        for barred in "DFIQUV".utf8 where pair.0 == barred || pair.1 == barred { return false }
        if pair.1 == UInt8(ascii: "O") { return false }
        for prefix in ["bg", "gb", "kn", "nk", "nt", "tn", "zz"] as [StaticString] where text.hasAnyCase(prefix, at: start) { return false }
        return true
    }

    // MARK: Reading

    /// The digits of three groups of the given lengths with `separator` between them, when nothing follows that belongs to them.
    private func groups(_ index: Int, _ separator: UInt8, _ first: Int, _ second: Int, _ third: Int) -> Digits? {
        var digits = Digits()
        var position = index
        for length in [first, second, third] {
            if position > index {
                guard text[position] == separator else { return nil }
                position += 1
            }
            for offset in 0..<length {
                guard ASCII.isDigit(text[position + offset]) else { return nil }
                digits.append(text[position + offset] &- 48)
            }
            position += length
        }
        return numberCanEnd(position) ? digits : nil
    }

    private func read(_ index: Int, _ count: Int) -> Digits {
        var digits = Digits()
        for offset in 0..<count { digits.append(text[index + offset] &- 48) }
        return digits
    }
}
