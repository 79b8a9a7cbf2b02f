/// One mapping of the effective configuration while it is decoded.
///
/// Reading a key makes it known; `finish()` reports the keys nobody read, with the nearest known key as a suggestion. A wrong value is
/// noted as a problem with its line and column and the default is returned, so that decoding goes on and every problem is found in one
/// run. Used by one thread, during start-up or a reload.
public final class ConfigSection {
    /// Where this mapping sits: `exporters.timescaledb/eu`.
    public let path: String
    let location: SourceLocation
    let problems: ProblemList
    private let entries: [String: ConfigNode.Entry]
    private let order: [String]
    private var known: Set<String> = []
    private var children: [ConfigSection] = []
    private var finished = false
    /// What was read, defaults included, in the order of reading: what `print-config` shows.
    private(set) var effective: [(key: String, value: EffectiveValue)] = []
    private var recorded: [String: Int] = [:]

    init(path: String, location: SourceLocation, entries: [ConfigNode.Entry], problems: ProblemList) {
        self.path = path
        self.location = location
        self.problems = problems
        self.entries = Dictionary(entries.map { ($0.key, $0) }) { _, last in last }
        order = entries.map(\.key)
    }

    /// Whether the key is written, with or without a value.
    public func has(_ key: String) -> Bool {
        known.insert(key)
        return entries[key] != nil
    }

    /// All keys as written, for mappings whose keys are names the user chose.
    public var keys: [String] { order }

    // MARK: Texts

    /// Nil when absent or null; a wrong type is a problem (and nil).
    public func string(_ key: String) -> String? {
        guard let node = value(key), let text = text(of: node, key) else { return nil }
        record(key, .text(text))
        return text
    }

    public func string(_ key: String, default fallback: String) -> String {
        let text = string(key)
        if text == nil { record(key, .text(fallback)) }
        return text ?? fallback
    }

    /// Like `string`, for a key that must have a value: absent or null is a problem.
    public func requiredString(_ key: String) -> String? {
        guard value(key) == nil else { return string(key) }
        problem("is required", at: key)
        return nil
    }

    /// Like `string`; `print-config` hides the value.
    public func secret(_ key: String) -> String? {
        guard let node = value(key), let text = text(of: node, key) else { return nil }
        record(key, .secret(text))
        return text
    }

    /// One of the type's raw values; case does not matter, as with the Go collector's log levels.
    public func choice<C: RawRepresentable & CaseIterable>(_ key: String, default fallback: C) -> C where C.RawValue == String {
        record(key, .text(fallback.rawValue))
        guard let node = value(key), let text = text(of: node, key) else { return fallback }
        if let choice = C.allCases.first(where: { $0.rawValue.lowercased() == text.lowercased() }) {
            record(key, .text(choice.rawValue))
            return choice
        }
        let names = C.allCases.map(\.rawValue)
        let found = node.expandedText == nil ? "'\(Self.shortened(text))'" : "this value"
        problem("\(found) is not one of \(names.joined(separator: ", "))\(KeySuggestion.hint(for: text, among: names))", at: key)
        return fallback
    }

    // MARK: Numbers

    /// Nil when absent or null.
    public func int(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let node = value(key) else { return nil }
        guard case .int(let number) = node.content else {
            wrongType(key, node, wanted: "a whole number")
            return nil
        }
        guard range.contains(number) else {
            outOfRange(key, range)
            return nil
        }
        record(key, .literal("\(number)"))
        return number
    }

    public func int(_ key: String, default fallback: Int, in range: ClosedRange<Int>) -> Int {
        let number = int(key, in: range)
        if number == nil { record(key, .literal("\(fallback)")) }
        return number ?? fallback
    }

    /// Nil when absent or null. Whole numbers are taken too; NaN and infinity are outside every range.
    public func double(_ key: String, in range: ClosedRange<Double>) -> Double? {
        guard let node = value(key) else { return nil }
        let number: Double
        switch node.content {
        case .int(let whole): number = Double(whole)
        case .double(let fraction): number = fraction
        case .null, .bool, .string, .sequence, .mapping:
            wrongType(key, node, wanted: "a number")
            return nil
        }
        guard number.isFinite, range.contains(number) else {
            outOfRange(key, range)
            return nil
        }
        record(key, .literal("\(number)"))
        return number
    }

    public func double(_ key: String, default fallback: Double, in range: ClosedRange<Double>) -> Double {
        let number = double(key, in: range)
        if number == nil { record(key, .literal("\(fallback)")) }
        return number ?? fallback
    }

    public func bool(_ key: String, default fallback: Bool) -> Bool {
        record(key, .literal("\(fallback)"))
        guard let node = value(key) else { return fallback }
        guard case .bool(let flag) = node.content else {
            wrongType(key, node, wanted: "true or false")
            return fallback
        }
        record(key, .literal("\(flag)"))
        return flag
    }

    /// `200ms`, `5s`, `1m30s`, `24h`, or a bare 0. Nil when absent or null; negative durations are a problem.
    public func duration(_ key: String) -> Duration? {
        guard let node = value(key) else { return nil }
        let parsed: Duration?
        switch node.content {
        case .string(let text): parsed = DurationText.parse(text)
        case .int(0): parsed = .zero
        case .null, .bool, .int, .double, .sequence, .mapping: parsed = nil
        }
        guard let parsed else {
            wrongType(key, node, wanted: "a duration like 200ms, 5s or 1m30s")
            return nil
        }
        record(key, .literal(DurationText.format(parsed)))
        return parsed
    }

    public func duration(_ key: String, default fallback: Duration) -> Duration {
        let parsed = duration(key)
        if parsed == nil { record(key, .literal(DurationText.format(fallback))) }
        return parsed ?? fallback
    }

    /// A value of whatever type is written; nil when absent or null.
    public func anyValue(_ key: String) -> ConfigValue? {
        guard let node = value(key), let found = ConfigValue(node) else { return nil }
        record(key, .literal(found.yaml))
        return found
    }

    // MARK: Lists and mappings

    /// A list of texts; one text with commas is taken as a list, as in the Go collector.
    public func strings(_ key: String, default fallback: [String]) -> [String] {
        record(key, .list(fallback))
        guard let node = value(key) else { return fallback }
        var list: [String] = []
        switch node.content {
        case .sequence(let items):
            for item in items {
                guard let text = text(of: item, key) else { return fallback }
                list.append(text)
            }
        case .string(let text):
            list = text.split(separator: ",").map(String.init)
        case .null, .bool, .int, .double, .mapping:
            wrongType(key, node, wanted: "a list of texts")
            return fallback
        }
        record(key, .list(list))
        return list
    }

    /// A text of a list, with its place.
    public struct ListedText {
        public let text: String
        /// `processors.filter.traces.span[0]`.
        public let path: String
        let location: SourceLocation
    }

    /// A list of texts that may hold commas, such as conditions; one text alone is a list of one.
    public func listedTexts(_ key: String) -> [ListedText] {
        record(key, .list([]))
        guard let node = value(key) else { return [] }
        let items: [ConfigNode]
        switch node.content {
        case .sequence(let nodes): items = nodes
        case .string: items = [node]
        case .null, .bool, .int, .double, .mapping:
            wrongType(key, node, wanted: "a list of texts")
            return []
        }
        let list = items.enumerated().compactMap { index, item in
            text(of: item, "\(key)[\(index)]").map { ListedText(text: $0, path: "\(join(key))[\(index)]", location: item.location) }
        }
        record(key, .list(list.map(\.text)))
        return list
    }

    /// Whether a list of mappings is written.
    public func hasSections(_ key: String) -> Bool {
        guard case .sequence(let items)? = value(key)?.content, case .mapping? = items.first?.content else { return false }
        return true
    }

    /// A mapping of texts in the order written, such as headers. `print-config` hides the values: headers carry credentials.
    public func stringMap(_ key: String) -> [(String, String)] {
        guard let node = value(key) else { return [] }
        guard case .mapping(let pairs) = node.content else {
            wrongType(key, node, wanted: "a mapping of names to texts")
            return []
        }
        let texts = pairs.compactMap { pair in text(of: pair.value, "\(key).\(pair.key)").map { (pair.key, $0) } }
        record(key, .secretMap(texts.map { (name: $0.0, value: $0.1) }))
        return texts
    }

    /// A nested mapping: nil when the key is absent, empty when it has no value (`grpc:` alone counts as present, as in Go).
    public func section(_ key: String) -> ConfigSection? {
        known.insert(key)
        guard let entry = entries[key] else { return nil }
        guard let child = child(path: join(key), entry.value, location: entry.keyLocation) else {
            wrongType(key, entry.value, wanted: "a mapping")
            return nil
        }
        record(key, .section(child))
        return child
    }

    /// A list of mappings; empty when the key is absent.
    public func sections(_ key: String) -> [ConfigSection] {
        guard let node = value(key) else { return [] }
        guard case .sequence(let items) = node.content else {
            wrongType(key, node, wanted: "a list of mappings")
            return []
        }
        var list: [ConfigSection] = []
        for (index, item) in items.enumerated() {
            if let child = child(path: "\(join(key))[\(index)]", item, location: item.location) {
                list.append(child)
            } else {
                problems.error(at: item.location, "\(join(key)): expected a mapping, found \(item.kind)")
            }
        }
        record(key, .sections(list))
        return list
    }

    /// All that was read, defaults included: two sections that decode to the same have the same text, whatever their files look like.
    /// With secrets in clear: for comparing only, never to be shown. Complete once the section is decoded.
    public var comparisonText: String {
        var yaml = EffectiveYAML(hidesSecrets: false)
        yaml.section(self, indent: 0)
        return yaml.text
    }

    // MARK: Problems

    /// Problems found so far, here and in all sections of the same document: has something just been found?
    public var problemCount: Int { problems.count }

    /// Notes a problem; it points at the key when one is named and written, else at the section.
    public func problem(_ message: String, at key: String? = nil) {
        let place = key.flatMap { entries[$0]?.keyLocation } ?? location
        problems.error(at: place, "\(key.map(join) ?? (path.isEmpty ? "configuration" : path)): \(message)")
    }

    /// Notes a problem of one text of a list.
    public func problem(_ message: String, at item: ListedText) {
        problems.error(at: item.location, "\(item.path): \(message)")
    }

    /// Reports the keys nobody read, here and in the sections handed out. Doing it twice is harmless.
    public func finish() {
        guard !finished else { return }
        ignore()
        // Of equally near keys, one that is not written yet is the likelier.
        let candidates = known.subtracting(order).sorted() + known.sorted()
        for key in order where !known.contains(key) {
            guard let entry = entries[key] else { continue }
            let hint = problems.isFull ? "" : KeySuggestion.hint(for: key, among: candidates)
            problems.error(at: entry.keyLocation, "\(path.isEmpty ? "" : "\(path): ")unknown key '\(Self.shortened(key))'\(hint)")
        }
        for child in children { child.finish() }
    }

    /// Leaves unread keys unreported: the section's type is unknown or of no interest, so nothing can be said about them.
    public func ignore() {
        finished = true
    }

    /// An empty section in place of one that is not written, so that defaults are read (and shown) in one way.
    func absent(_ key: String) -> ConfigSection {
        let child = ConfigSection(path: join(key), location: location, entries: [], problems: problems)
        record(key, .section(child))
        return child
    }

    /// A list of component ids; one that is no id is a problem.
    func references(_ key: String) -> [ComponentReference] {
        record(key, .list([]))
        guard let node = value(key) else { return [] }
        guard case .sequence(let items) = node.content else {
            wrongType(key, node, wanted: "a list of component ids")
            return []
        }
        let list: [ComponentReference] = items.compactMap { item in
            guard let text = text(of: item, key) else { return nil }
            guard let id = ComponentID(text) else {
                problems.error(at: item.location, "\(join(key)): a component is named type or type/name")
                return nil
            }
            return ComponentReference(id: id, location: item.location)
        }
        record(key, .list(list.map(\.id.description)))
        return list
    }

    // MARK: Inside

    private func join(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func child(path: String, _ node: ConfigNode, location: SourceLocation) -> ConfigSection? {
        let child: ConfigSection
        switch node.content {
        case .null: child = ConfigSection(path: path, location: location, entries: [], problems: problems)
        case .mapping(let pairs): child = ConfigSection(path: path, location: location, entries: pairs, problems: problems)
        case .bool, .int, .double, .string, .sequence: return nil
        }
        children.append(child)
        return child
    }

    private func value(_ key: String) -> ConfigNode? {
        known.insert(key)
        guard let node = entries[key]?.value, !node.isNull else { return nil }
        return node
    }

    private func text(of node: ConfigNode, _ key: String) -> String? {
        switch node.content {
        case .string(let text): return node.expandedText ?? text
        case .null, .bool, .int, .double:
            if let text = node.expandedText { return text }
            problems.error(at: node.location, "\(join(key)): expected a text, found \(node.kind) (put it in quotes)")
        case .sequence, .mapping:
            problems.error(at: node.location, "\(join(key)): expected a text, found \(node.kind)")
        }
        return nil
    }

    private func wrongType(_ key: String, _ node: ConfigNode, wanted: String) {
        var found = node.kind
        if case .string(let text) = node.content, node.expandedText == nil { found = "'\(Self.shortened(text))'" }
        if case .int(let number) = node.content, node.expandedText == nil { found = "\(number)" }
        problem("expected \(wanted), found \(found)", at: key)
    }

    private func outOfRange<N: Numeric>(_ key: String, _ range: ClosedRange<N>) {
        let open = range.upperBound as? Int == Int.max || range.upperBound as? Double == .greatestFiniteMagnitude
        problem(open ? "must be at least \(range.lowerBound)" : "must be from \(range.lowerBound) to \(range.upperBound)", at: key)
    }

    private func record(_ key: String, _ value: EffectiveValue) {
        if let index = recorded[key] {
            effective[index].value = value
        } else {
            recorded[key] = effective.count
            effective.append((key, value))
        }
    }

    /// A piece of what the user wrote, short enough for a message and without control characters.
    static func shortened(_ text: String) -> String {
        let visible = String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }))
        return visible.count <= 40 ? visible : visible.prefix(37) + "..."
    }
}
