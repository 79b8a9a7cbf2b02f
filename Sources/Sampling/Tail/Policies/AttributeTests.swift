import Glibc
import OTLPWire

/// Tests of attributes, found by key: one walk over a span's attributes serves all of them.
///
/// Keys are told apart by length, then by their first eight bytes, and compared in full only when both agree. All tables are flat
/// arrays of plain values, so that walking them neither allocates nor counts references.
struct AttributeTests: Sendable {
    enum Test: Sendable {
        /// A text that is equal to one of these, not empty.
        case texts([[UInt8]])
        /// A text that matches: on a span not an empty one, as in the Go collector.
        case text(StringMatcher)
        /// A text, a number or a boolean by its text.
        case anything(StringMatcher)
        case number(ClosedRange<Double>)
        case bool(Bool)
    }

    enum Scope: Sendable { case span, resource }

    private struct Key {
        var offset: Int
        var count: Int
        /// The first eight bytes, if there are as many.
        var word: UInt64
        var entries: Range<Int>
    }

    /// One criterion's test.
    private struct Entry {
        enum Kind { case texts, text, anything, number, bool }

        var criterion: Int
        var kind: Kind
        var isOnResourceOnly: Bool
        /// `texts`: places in `texts`; `text` and `anything`: one place in `matchers`.
        var places: Range<Int> = 0..<0
        var low = 0.0
        var high = 0.0
        var bool = false
    }

    private var added: [(key: [UInt8], criterion: Int, test: Test, isOnResourceOnly: Bool)] = []
    private var keys: [Key] = []
    /// By length: where its keys begin; a length of `lengthMax` stands for all above.
    private var starts = [Int](repeating: 0, count: lengthMax + 2)
    private var entries: [Entry] = []
    private var texts: [Range<Int>] = []
    private var matchers: [StringMatcher] = []
    /// Keys and texts, one after the other.
    private var bytes: [UInt8] = []
    /// Bit n: there are keys of n bytes.
    private var lengths: UInt64 = 0
    /// The criteria that have tests.
    private(set) var criteria = CriteriaSet()

    private static let lengthMax = 63

    var isEmpty: Bool { added.isEmpty }

    mutating func add(_ key: [UInt8], criterion: Int, _ test: Test, onResourceOnly: Bool = false) {
        added.append((key, criterion, test, onResourceOnly))
        criteria.insert(criterion)
        rebuild()
    }

    private mutating func rebuild() {
        (keys, entries, texts, matchers, bytes, lengths) = ([], [], [], [], [], 0)
        var unique: [[UInt8]] = []
        for item in added where !unique.contains(item.key) { unique.append(item.key) }
        unique.sort { min($0.count, Self.lengthMax) < min($1.count, Self.lengthMax) }
        for length in starts.indices { starts[length] = unique.count { min($0.count, Self.lengthMax) < length } }
        for key in unique {
            lengths |= 1 << UInt64(min(key.count, Self.lengthMax))
            let first = entries.count
            for item in added where item.key == key { append(item.criterion, item.test, item.isOnResourceOnly) }
            let word = key.count >= 8 ? key.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) } : 0
            keys.append(Key(offset: store(key).lowerBound, count: key.count, word: word, entries: first..<entries.count))
        }
    }

    private mutating func append(_ criterion: Int, _ test: Test, _ isOnResourceOnly: Bool) {
        var entry = Entry(criterion: criterion, kind: .bool, isOnResourceOnly: isOnResourceOnly)
        switch test {
        case .texts(let wanted):
            entry.kind = .texts
            let first = texts.count
            for text in wanted where !text.isEmpty { texts.append(store(text)) }
            entry.places = first..<texts.count
        case .text(let matcher), .anything(let matcher):
            entry.kind = .anything
            if case .text = test { entry.kind = .text }
            entry.places = matchers.count..<(matchers.count + 1)
            matchers.append(matcher)
        case .number(let range):
            entry.kind = .number
            (entry.low, entry.high) = (range.lowerBound, range.upperBound)
        case .bool(let wanted): entry.bool = wanted
        }
        entries.append(entry)
    }

    private mutating func store(_ text: [UInt8]) -> Range<Int> {
        let first = bytes.count
        bytes += text
        return first..<bytes.count
    }

    // MARK: Walking

    /// Adds the criteria that one of the attributes meets.
    ///
    /// - Parameter known: criteria that need not be looked at any more.
    func walk(_ attributes: AttributesView, _ scope: Scope, known: CriteriaSet, met: inout CriteriaSet) {
        for attribute in attributes {
            let key = attribute.key
            let length = min(key.count, Self.lengthMax)
            guard lengths >> UInt64(truncatingIfNeeded: length) & 1 == 1, let place = place(of: key, length) else { continue }
            var value = AnyValueView.absent
            var isRead = false
            for index in keys[place].entries {
                let criterion = entries[index].criterion
                if met.contains(criterion) || known.contains(criterion) { continue }
                if entries[index].isOnResourceOnly, scope == .span { continue }
                if !isRead {
                    value = attribute.value
                    isRead = true
                }
                if accepts(index, value, scope) { met.insert(criterion) }
            }
        }
    }

    @inline(__always)
    private func place(of key: WireBytes, _ length: Int) -> Int? {
        guard let start = key.baseAddress else { return nil }
        let word = key.count >= 8 ? start.loadUnaligned(as: UInt64.self) : 0
        for place in starts[length]..<starts[length + 1] where keys[place].word == word && keys[place].count == key.count {
            if isEqual(start, keys[place].offset, key.count) { return place }
        }
        return nil
    }

    @inline(__always)
    private func isEqual(_ text: UnsafeRawPointer, _ offset: Int, _ count: Int) -> Bool {
        bytes.withUnsafeBytes { stored in stored.baseAddress.map { memcmp(text, $0 + offset, count) == 0 } ?? false }
    }

    private func accepts(_ index: Int, _ value: AnyValueView, _ scope: Scope) -> Bool {
        switch (entries[index].kind, value) {
        case (.texts, .string(let text)):
            guard let start = text.baseAddress else { return false }
            for place in entries[index].places where texts[place].count == text.count {
                if isEqual(start, texts[place].lowerBound, text.count) { return true }
            }
            return false
        case (.text, .string(let text)):
            return (scope == .resource || !text.isEmpty) && matchers[entries[index].places.lowerBound].matches(text)
        case (.anything, _): return matchers[entries[index].places.lowerBound].matches(value)
        case (.number, .int(let int)): return entries[index].low <= Double(int) && Double(int) <= entries[index].high
        case (.number, .double(let double)): return entries[index].low <= double && double <= entries[index].high
        case (.bool, .bool(let bool)): return bool == entries[index].bool
        case (.texts, _), (.text, _), (.number, _), (.bool, _): return false
        }
    }
}
