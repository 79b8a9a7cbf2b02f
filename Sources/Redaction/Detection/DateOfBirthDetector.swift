/// Dates that a word before them calls somebody's birth.
extension Scanner {
    private static let words: [StaticString] = [
        "dob", "d.o.b", "birth", "born", "geboren", "geburt", "geb", "naissance", "nacimiento", "nascita",
    ]
    private static let months: [StaticString] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    /// How far before the date the word may stand: `date of birth (as on the passport): `.
    private static var reach: Int { 40 }

    func dateOfBirth(at index: Int) -> Match? {
        guard enabled.has(.dateOfBirth), let date = date(at: index), numberCanEnd(date.end), date.start >= floor,
            hasContext(Self.words, before: date.start, reach: Self.reach)
        else { return nil }
        return Match(.dateOfBirth, date.start, date.end)
    }

    /// A date whose first digit is at `index`.
    func date(at index: Int) -> (start: Int, end: Int)? {
        let length = text.run(from: index, limit: 5, ASCII.isDigit) - index
        let separator = text[index + length]
        if length == 4, isSeparator(separator) {
            guard let middle = part(index + 5, 1...12), text[middle] == separator, let end = part(middle + 1, 1...31) else { return nil }
            return (index, end)
        }
        guard length <= 2, part(index, 1...31) != nil else { return nil }
        if isSeparator(separator) {
            guard let middle = part(index + length + 1, 1...31), text[middle] == separator, let end = year(middle + 1) else { return nil }
            return (index, end)
        }
        return namedMonth(index, index + length)
    }

    /// `12 March 1990`, `March 12, 1990`, `12th of March 1990`.
    private func namedMonth(_ day: Int, _ dayEnd: Int) -> (start: Int, end: Int)? {
        let before = text.runStart(before: text[day - 1] == 0x20 ? day - 1 : day, limit: 10, ASCII.isLetter)
        if isMonth(before) {
            var position = dayEnd
            while text[position] == UInt8(ascii: ",") || text[position] == 0x20, position - dayEnd < 2 { position += 1 }
            if let end = year(position) { return (before, end) }
        }
        var position = dayEnd
        for suffix in ["th", "st", "nd", "rd", "."] as [StaticString] where text.has(suffix, at: position) {
            position += suffix.utf8CodeUnitCount
        }
        if text[position] == 0x20 { position += 1 }
        if text.has("of ", at: position) { position += 3 }
        guard isMonth(position) else { return nil }
        position = text.run(from: position, limit: 10, ASCII.isLetter)
        while text[position] == UInt8(ascii: ",") || text[position] == UInt8(ascii: ".") || text[position] == 0x20 { position += 1 }
        return year(position).map { (day, $0) }
    }

    private func isMonth(_ index: Int) -> Bool { Self.months.contains { text.hasAnyCase($0, at: index) } }

    private func isSeparator(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "-") || byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".")
    }

    /// End of one or two digits at `index` whose value is in `range`.
    private func part(_ index: Int, _ range: ClosedRange<Int>) -> Int? {
        let end = text.run(from: index, limit: 3, ASCII.isDigit)
        guard end - index == 1 || end - index == 2 else { return nil }
        var value = 0
        for position in index..<end { value = value * 10 + Int(text[position] &- 48) }
        return range.contains(value) ? end : nil
    }

    private func year(_ index: Int) -> Int? {
        let end = text.run(from: index, limit: 5, ASCII.isDigit)
        guard end - index == 4 else { return end - index == 2 ? end : nil }
        return text.has("19", at: index) || text.has("20", at: index) ? end : nil
    }
}
