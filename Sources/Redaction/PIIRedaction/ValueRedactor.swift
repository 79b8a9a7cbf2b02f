import OTLPWire

/// Rewrites encoded `AnyValue`s and runs of attributes; keeps count of what it did. Used by one thread at a time.
final class ValueRedactor {
    let redactor: TextRedactor
    let scratch = RedactionScratch()
    /// Values found since `reset`, by kind, and for the current span since `startSpan`.
    @exclusivity(unchecked) private(set) var counts: [Int]
    @exclusivity(unchecked) private(set) var spanCounts: [Int]
    @exclusivity(unchecked) private(set) var spanTotal = 0
    /// Told of each value found. Nil on the data path.
    var observer: RedactionObserver?

    init(_ redactor: TextRedactor) {
        self.redactor = redactor
        counts = Array(repeating: 0, count: redactor.kindNames.count)
        spanCounts = counts
    }

    func reset() {
        for index in counts.indices { counts[index] = 0 }
        scratch.shrink()
    }

    func startSpan() {
        guard spanTotal > 0 else { return }
        spanTotal = 0
        for index in spanCounts.indices { spanCounts[index] = 0 }
    }

    /// Names of the kinds found in the current span, in alphabetical order.
    var spanKinds: [String] {
        spanCounts.indices.filter { spanCounts[$0] > 0 }.map { redactor.kindNames[$0] }.sorted()
    }

    /// Searches a text, or takes it whole when `strategy` says what to do with it. True when there is something to write.
    func find(_ text: WireBytes, name: WireBytes, _ strategy: Strategy?) -> Bool {
        let isFound = strategy.map { redactor.take(text, strategy: $0, scratch) } ?? redactor.search(text, name: name, scratch)
        guard isFound else { return false }
        for index in scratch.edits.indices {
            let kind = scratch.edits[index].kind
            counts[kind] += 1
            spanCounts[kind] += 1
            spanTotal += 1
        }
        if let observer { note(text, name, strategy, observer) }
        return true
    }

    private func note(_ text: WireBytes, _ name: WireBytes, _ whole: Strategy?, _ observer: RedactionObserver) {
        scratch.forEachEdit { place, kind, replacement in
            observer.note(
                name: name, kind: redactor.kindNames[kind], strategy: whole ?? redactor.strategies[kind], place: place, in: text,
                after: replacement)
        }
    }

    /// What became of one attribute.
    private enum Fate { case unchanged, removed, written }

    /// Appends the run of attributes `message` (fields `field`, and any others, of an encoded message) to `output`, rewritten. When
    /// nothing was found, nothing is appended and nil is returned; else the number of attributes left.
    /// - Parameter scans: whether values are searched, or only `rules` applied.
    func rewrite(_ message: WireBytes, field: UInt32, rules: KeyRules, scans: Bool, into output: inout OutputBuffer) -> Int? {
        let start = output.count
        var isChanged = false
        var count = 0
        for (entry, encoded) in EncodedFields(message) {
            guard entry.number == field, entry.type == .lengthDelimited else {
                if isChanged { output.append(encoded) }
                continue
            }
            let mark = output.count
            let fate = rewrite(KeyValueView(encoded: entry.bytes), field, rules, scans, &output)
            if fate != .removed { count += 1 }
            if isChanged {
                if fate == .unchanged { output.append(encoded) }
            } else if fate != .unchanged {
                isChanged = true
                // What came before goes in front of what was just written.
                insert(message, upTo: encoded, at: mark, &output)
            }
        }
        precondition(isChanged || output.count == start)
        return isChanged ? count : nil
    }

    private func insert(_ message: WireBytes, upTo entry: WireBytes, at mark: Int, _ output: inout OutputBuffer) {
        guard let first = message.baseAddress, let stop = entry.baseAddress, stop > first else { return }
        output.insert(WireBytes(start: first, count: stop - first), at: mark)
    }

    private func rewrite(
        _ attribute: KeyValueView, _ field: UInt32, _ rules: KeyRules, _ scans: Bool, _ output: inout OutputBuffer
    ) -> Fate {
        let key = attribute.key
        let strategy = rules.isEmpty ? nil : rules.strategy(for: key)
        guard scans || strategy != nil else { return .unchanged }
        // Nearly all values are texts or numbers.
        switch attribute.value {
        case .string(let text):
            guard find(text, name: key, strategy) else { return .unchanged }
            if scratch.removesAll(of: text) { return .removed }
            output.appendAttribute(field, key: key) { writeText(text, OTLPField.AnyValue.string, &$0) }
            return .written
        case .bool, .int, .double, .absent:
            if strategy == nil { return .unchanged }
        case .array, .keyValueList, .bytes: break
        }
        let mark = output.count
        let total = spanTotal
        observer?.enter(key)
        defer { observer?.leave() }
        output.appendAttribute(field, key: key) { rewrite(attribute.encoded, name: key, strategy, &$0) }
        if spanTotal == total {
            output.truncate(to: mark)
            return .unchanged
        }
        if strategy == .remove {
            output.truncate(to: mark)
            return .removed
        }
        return .written
    }

    private func writeText(_ text: WireBytes, _ field: UInt32, _ output: inout OutputBuffer) {
        output.appendMessage(field) { scratch.write(text, into: &$0) }
    }

    /// Appends the inside of an `AnyValue`, rewritten where something was found.
    private func rewrite(_ encoded: WireBytes, name: WireBytes, _ strategy: Strategy?, _ output: inout OutputBuffer) {
        switch AnyValueView(encoded) {
        case .string(let text):
            if find(text, name: name, strategy) { writeText(text, OTLPField.AnyValue.string, &output) } else { output.append(encoded) }
        case .bytes(let bytes):
            if find(bytes, name: name, strategy) { writeText(bytes, OTLPField.AnyValue.bytes, &output) } else { output.append(encoded) }
        case .array: rewriteElements(encoded, OTLPField.AnyValue.array, name, strategy, &output)
        case .keyValueList: rewriteElements(encoded, OTLPField.AnyValue.kvlist, name, strategy, &output)
        case .int(let number): rewriteNumber("\(number)", encoded, name, strategy, &output)
        case .double(let number): rewriteNumber("\(number)", encoded, name, strategy, &output)
        case .bool(let flag): rewriteNumber("\(flag)", encoded, name, strategy, &output)
        case .absent: output.append(encoded)
        }
    }

    /// A value that is no text becomes one when a rule takes it.
    private func rewriteNumber(
        _ text: String, _ encoded: WireBytes, _ name: WireBytes, _ strategy: Strategy?, _ output: inout OutputBuffer
    ) {
        var copy = text
        copy.withUTF8 { utf8 in
            let bytes = WireBytes(utf8)
            if strategy != nil, find(bytes, name: name, strategy) {
                writeText(bytes, OTLPField.AnyValue.string, &output)
            } else {
                output.append(encoded)
            }
        }
    }

    private func rewriteElements(
        _ encoded: WireBytes, _ field: UInt32, _ name: WireBytes, _ strategy: Strategy?, _ output: inout OutputBuffer
    ) {
        var list = WireBytes(start: nil, count: 0)
        for (entry, _) in EncodedFields(encoded) where entry.number == field && entry.type == .lengthDelimited { list = entry.bytes }
        output.appendMessage(field) { output in
            // The number is 1 in both `ArrayValue` and `KeyValueList`.
            var index = 0
            for (entry, bytes) in EncodedFields(list) {
                guard entry.number == OTLPField.ArrayValue.values, entry.type == .lengthDelimited else {
                    output.append(bytes)
                    continue
                }
                defer {
                    observer?.leave()
                    index += 1
                }
                if field == OTLPField.AnyValue.array {
                    observer?.enter(index: index)
                    output.appendMessage(OTLPField.ArrayValue.values) { rewrite(entry.bytes, name: name, strategy, &$0) }
                } else {
                    let member = KeyValueView(encoded: entry.bytes)
                    observer?.enter(member.key)
                    output.appendAttribute(OTLPField.KeyValueList.values, key: member.key) {
                        rewrite(member.encoded, name: member.key, strategy, &$0)
                    }
                }
            }
        }
    }
}
