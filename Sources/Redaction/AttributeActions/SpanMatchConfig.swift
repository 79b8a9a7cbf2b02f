import Configuration
import Patterns

extension SpanMatch {
    /// What `match_type` may say.
    private enum MatchType: String, CaseIterable {
        case strict, regexp
    }

    /// `include` or `exclude`, as written for the Go collector; nil when the key is absent.
    init?(in parent: ConfigSection, _ key: String) {
        guard let section = parent.section(key) else { return nil }
        self.init()
        let before = section.problemCount
        let type = section.choice("match_type", default: MatchType.strict)
        if !section.has("match_type") { section.problem("is required: strict or regexp", at: "match_type") }
        // The Go collector's cache of results; ours are found in linear time without one.
        if let cache = section.section("regexp") {
            _ = cache.bool("cacheenabled", default: false)
            _ = cache.int("cachemaxnumentries", default: 0, in: 0...Int.max)
        }
        services = Self.texts(section, "services", type)
        spanNames = Self.texts(section, "span_names", type)
        kinds = Self.kinds(section, type)
        libraries = section.sections("libraries").compactMap { Self.library($0, type) }
        attributes = section.sections("attributes").compactMap { Self.attribute($0, type) }
        resources = section.sections("resources").compactMap { Self.attribute($0, type) }
        for other in ["log_bodies", "log_severity_texts", "log_severity_number", "metric_names"] where section.has(other) {
            section.problem("is not for spans", at: other)
        }
        let listed = ["services", "span_names", "span_kinds", "libraries", "attributes", "resources"]
        if services.isEmpty, spanNames.isEmpty, kinds == nil, libraries.isEmpty, attributes.isEmpty, resources.isEmpty,
            section.problemCount == before
        {
            section.problem("names nothing to match; it needs one of \(listed.joined(separator: ", "))")
        }
        section.finish()
    }

    private static func texts(_ section: ConfigSection, _ key: String, _ type: MatchType) -> [TextMatch] {
        let texts = section.strings(key, default: [])
        return switch type {
        case .strict: texts.map { .strict(Array($0.utf8)) }
        case .regexp: section.patterns(texts, at: key).map { .pattern($0) }
        }
    }

    private static func text(_ text: String, _ section: ConfigSection, _ key: String, _ type: MatchType) -> TextMatch? {
        switch type {
        case .strict: .strict(Array(text.utf8))
        case .regexp: section.pattern(text, at: key).map { .pattern($0) }
        }
    }

    private static func kinds(_ section: ConfigSection, _ type: MatchType) -> UInt8? {
        let texts = texts(section, "span_kinds", type)
        guard !texts.isEmpty else { return nil }
        var bits: UInt8 = 0
        for (number, name) in kindNames.enumerated() {
            let isFound = Array(name.utf8).withUnsafeBytes { name in texts.contains { $0.matches(name) } }
            if isFound { bits |= 1 << UInt8(number) }
        }
        let known = kindNames.dropFirst()
        if type == .strict, section.strings("span_kinds", default: []).contains(where: { !known.contains($0) }) {
            section.problem("with match_type: strict kinds are \(known.joined(separator: ", "))", at: "span_kinds")
        }
        return bits
    }

    private static func library(_ section: ConfigSection, _ type: MatchType) -> Library? {
        defer { section.finish() }
        // An empty name is a name: scopes without one.
        guard section.has("name"), let name = section.string("name") else {
            section.problem("is required", at: "name")
            return nil
        }
        let version = section.string("version")
        guard let name = text(name, section, "name", type) else { return nil }
        guard let version else { return Library(name: name, version: nil) }
        return text(version, section, "version", type).map { Library(name: name, version: $0) }
    }

    private static func attribute(_ section: ConfigSection, _ type: MatchType) -> AttributeMatch? {
        defer { section.finish() }
        guard let key = section.string("key"), !key.isEmpty else {
            section.problem("is required", at: "key")
            return nil
        }
        guard let value = section.anyValue("value") else { return AttributeMatch(key: StableBytes(key), expected: .anything) }
        let expected: AttributeMatch.Expected
        switch (type, value) {
        case (.strict, .bool(let flag)): expected = .bool(flag)
        case (.strict, .int(let number)): expected = .number(Double(number), Int64(number))
        case (.strict, .double(let number)): expected = .number(number, nil)
        case (.strict, .string(let text)): expected = .text(Array(text.utf8))
        case (.regexp, .string(let text)):
            guard let pattern = section.pattern(text, at: "value") else { return nil }
            expected = .pattern(pattern)
        case (.regexp, _):
            section.problem("with match_type: regexp this is a pattern (put it in quotes)", at: "value")
            return nil
        case (.strict, .list), (.strict, .mapping):
            section.problem("lists and mappings cannot be matched", at: "value")
            return nil
        }
        return AttributeMatch(key: StableBytes(key), expected: expected)
    }
}
