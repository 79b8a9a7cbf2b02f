/// A set of small numbers, 64 to a word, that grows at its end.
struct RecordBits: Equatable, Sendable {
    fileprivate(set) var words: [UInt64] = []

    func contains(_ index: Int) -> Bool {
        index >> 6 < words.count && words[index >> 6] & (1 << UInt64(index & 63)) != 0
    }

    /// Returns whether it was new.
    @discardableResult
    mutating func insert(_ index: Int) -> Bool {
        if index >> 6 >= words.count { words.append(contentsOf: repeatElement(0, count: (index >> 6) + 1 - words.count)) }
        let bit: UInt64 = 1 << UInt64(index & 63)
        defer { words[index >> 6] |= bit }
        return words[index >> 6] & bit == 0
    }

    mutating func remove(_ index: Int) {
        if index >> 6 < words.count { words[index >> 6] &= ~(1 << UInt64(index & 63)) }
    }

    /// The first number from `index` on, below `end`, that is not in the set.
    func firstMissing(from index: Int, below end: Int) -> Int? {
        var index = index
        while index < end {
            guard index >> 6 < words.count else { return index }
            let free = ~words[index >> 6] >> UInt64(index & 63)
            if free != 0 {
                let found = index + free.trailingZeroBitCount
                return found < end ? found : nil
            }
            index = ((index >> 6) + 1) << 6
        }
        return nil
    }

    mutating func formUnion(_ other: [UInt64], atWord first: Int) {
        if words.count < first + other.count { words.append(contentsOf: repeatElement(0, count: first + other.count - words.count)) }
        for index in other.indices { words[first + index] |= other[index] }
    }

    mutating func formIntersection(_ other: RecordBits) {
        for index in words.indices { words[index] &= index < other.words.count ? other.words[index] : 0 }
    }

    func subtracting(_ other: RecordBits) -> RecordBits {
        var rest = self
        for index in rest.words.indices.prefix(other.words.count) { rest.words[index] &= ~other.words[index] }
        return rest
    }

    /// How many of the numbers below `end` are in the set.
    func count(below end: Int) -> Int {
        var total = 0
        for (index, word) in words.enumerated() {
            let left = end - index << 6
            if left <= 0 { break }
            total += (left >= 64 ? word : word & (1 << UInt64(left) - 1)).nonzeroBitCount
        }
        return total
    }
}

extension RecordBits {
    /// The numbers below `end`.
    init(first end: Int) {
        let whole = end >> 6
        var words = Array(repeating: UInt64.max, count: whole)
        if end & 63 != 0 { words.append(1 << UInt64(end & 63) - 1) }
        self.init(words: words)
    }
}
