/// Telephone numbers: E.164 with or without separators, and national forms that have separators or a bracketed area code.
/// Bare runs of digits are not phones.
extension Scanner {
    /// What was read from a number's first digit on.
    private struct Reading {
        var digits = Digits()
        /// Lengths of the groups between separators.
        var groups = Digits()
        var hasBrackets = false
        /// The `(0)` of `+44 (0) 20`, which is not dialled from abroad.
        var trunkDigits = 0
        /// Separators other than spaces and brackets, to tell dates and decimals.
        var hasDots = false
        var end = 0
        var isInternational = false

        func hasGroups(_ lengths: Int...) -> Bool {
            groups.count == lengths.count && lengths.indices.allSatisfy { Int(groups[$0]) == lengths[$0] }
        }

        var startsLikeDate: Bool {
            groups.count >= 3
                && ((groups[0] == 4 && groups[1] <= 2 && groups[2] <= 2) || (groups[0] <= 2 && groups[1] <= 2 && groups[2] == 4))
        }
    }

    /// E.164: at most 15 digits.
    private static var digitsMax: Int { 15 }
    private static let words: [StaticString] = [
        "phone", "tel", "telephone", "telefon", "mobil", "cell", "call", "fax", "whatsapp", "sms", "handy", "portable", "number is",
    ]

    func phone(at index: Int) -> Match? {
        guard enabled.has(.phone) else { return nil }
        var start = index
        var isInternational = false
        if text[start - 1] == UInt8(ascii: "(") { start -= 1 }
        if text[start - 1] == UInt8(ascii: "+") {
            start -= 1
            isInternational = true
            if text[start - 1] == UInt8(ascii: "(") { start -= 1 }
        }
        guard start >= floor, start == index || numberCanStart(start), text[start - 1] != UInt8(ascii: "+") else { return nil }
        var reading = read(from: index, isInternational: isInternational, inBracket: text[index - 1] == UInt8(ascii: "("))
        guard accepts(&reading, index) else { return nil }
        let end = extensionEnd(reading.end)
        return numberCanEnd(end) ? Match(.phone, start, end) : nil
    }

    private func accepts(_ reading: inout Reading, _ index: Int) -> Bool {
        let count = reading.digits.count - reading.trunkDigits
        if reading.isInternational { return count >= 8 && count <= Self.digitsMax && reading.digits[0] != 0 }
        guard reading.groups.count > 1 || reading.hasBrackets, !reading.startsLikeDate else { return false }
        if isNorthAmerican(reading) { return true }
        if reading.digits[0] == 0 {
            // `001 …`, `0049 …` as dialled abroad, else a trunk prefix.
            if reading.digits[1] == 0 { return reading.groups[0] >= 3 && count >= 11 && count <= Self.digitsMax + 2 }
            if reading.hasDots, reading.groups[0] == 1 { return false }
            return count >= 9 && count <= 12 && (reading.groups[0] >= 2 || reading.hasBrackets)
        }
        return count >= 7 && count <= Self.digitsMax && hasContext(Self.words, before: index, reach: 24)
    }

    /// Area code and exchange start with 2 to 9.
    private func isNorthAmerican(_ reading: Reading) -> Bool {
        let offset: Int
        if reading.hasGroups(3, 3, 4) {
            offset = 0
        } else if reading.hasGroups(1, 3, 3, 4), reading.digits[0] == 1 {
            offset = 1
        } else {
            return false
        }
        return reading.digits[offset] >= 2 && reading.digits[offset + 3] >= 2
    }

    /// Reads digits and separators until the number must be over.
    private func read(from index: Int, isInternational: Bool, inBracket: Bool) -> Reading {
        var reading = Reading()
        reading.isInternational = isInternational
        reading.hasBrackets = inBracket
        reading.end = index
        var position = index
        var openBracket = inBracket
        var digitsMax = isInternational ? Self.digitsMax : Self.digitsMax + 2
        while true {
            let end = text.run(from: position, limit: digitsMax + 2, ASCII.isDigit)
            let length = end - position
            guard length > 0, reading.digits.count + length <= digitsMax + reading.trunkDigits else { break }
            for digit in position..<end { reading.digits.append(text[digit] &- 48) }
            reading.groups.append(UInt8(length))
            if openBracket, reading.groups.count > 1, length == 1, text[position] == UInt8(ascii: "0") { reading.trunkDigits = 1 }
            reading.end = end
            if isInternational, digitsMax == Self.digitsMax { digitsMax = longest(reading.digits) }
            if isComplete(reading) { break }
            guard let next = afterSeparators(end, &reading, &openBracket) else { break }
            position = next
        }
        // A bracket that closes only now: `(0395)`.
        if openBracket, text[reading.end] == UInt8(ascii: ")") { reading.end += 1 }
        return reading
    }

    private func isComplete(_ reading: Reading) -> Bool {
        if reading.isInternational { return reading.digits[0] == 1 && reading.digits.count - reading.trunkDigits == 11 }
        return reading.hasGroups(3, 3, 4) && reading.digits[0] >= 2
            || reading.hasGroups(1, 3, 3, 4) && reading.digits[0] == 1
            || reading.hasGroups(3, 3, 3, 4) && reading.digits.number(3) == 1
            || reading.hasGroups(2, 2, 2, 2, 2) && reading.digits[0] == 0
    }

    /// The next group's first digit after at most three separators, or nil when the number is over.
    private func afterSeparators(_ end: Int, _ reading: inout Reading, _ openBracket: inout Bool) -> Int? {
        var position = end
        while position - end < 3 {
            let byte = text[position]
            switch byte {
            case 0x20, UInt8(ascii: "-"): break
            case UInt8(ascii: "."), UInt8(ascii: "/"): reading.hasDots = true
            case UInt8(ascii: ")"):
                guard openBracket else { return nil }
                openBracket = false
                reading.hasBrackets = true
            case UInt8(ascii: "("):
                guard !openBracket, reading.isInternational || reading.groups.count == 1 else { return nil }
                openBracket = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): return position > end ? position : nil
            default: return nil
            }
            position += 1
        }
        return ASCII.isDigit(text[position]) ? position : nil
    }

    /// Digits that numbers of a country have at most, so that what follows one in prose is not taken for its end. National
    /// numbering plans as published by the ITU (E.164 supplement).
    private func longest(_ digits: Digits) -> Int {
        switch digits.number(1) {
        case 1, 7: return 11
        default: break
        }
        switch digits.number(2) {
        case 31, 32, 33, 34, 45, 46, 47, 48, 51, 56, 61, 64, 65, 66: return 11
        case 20, 36, 40, 41, 44, 52, 57, 58, 60, 63, 81, 82, 84, 90, 91, 92, 94, 98: return 12
        case 39, 43, 49, 54, 55, 62, 86: return 13
        default: return Self.digitsMax
        }
    }

    /// `x3890`, ` ext. 12`.
    private func extensionEnd(_ end: Int) -> Int {
        var position = text[end] == 0x20 ? end + 1 : end
        if text.hasAnyCase("ext", at: position) {
            position += 3
            if text[position] == UInt8(ascii: ".") { position += 1 }
        } else if text[position] | 0x20 == UInt8(ascii: "x") {
            position += 1
        } else {
            return end
        }
        if text[position] == 0x20 { position += 1 }
        let stop = text.run(from: position, limit: 6, ASCII.isDigit)
        return stop > position ? stop : end
    }
}
