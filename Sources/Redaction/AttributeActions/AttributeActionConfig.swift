import Configuration
import OTLPWire
import Patterns

/// Reads lists of actions, with the keys and the rules of the Go collector.
enum AttributeActionConfig {
    /// Groups of one pattern that can become attributes: `Pattern.groups` reports 64 ranges, the whole match among them.
    fileprivate static let groupsMax = 63

    /// The list of actions under `key`; without one it is a problem.
    static func list(in section: ConfigSection, _ key: String) -> [AttributeAction] {
        let sections = section.sections(key)
        if sections.isEmpty { section.problem("at least one action is required", at: key) }
        return sections.compactMap { AttributeAction(from: $0) }
    }
}

extension AttributeAction {
    /// Nil when the section has a problem, which is noted.
    fileprivate init?(from section: ConfigSection) {
        let isNamed = section.has("action")
        let before = section.problemCount
        let name = section.choice("action", default: Name.upsert)
        if !isNamed { section.problem("is required: one of \(Name.allCases.map(\.rawValue).joined(separator: ", "))", at: "action") }
        let keys = ActionKeys(from: section)
        section.finish()
        guard isNamed, section.problemCount == before else { return nil }
        keys.check(name, section)
        guard section.problemCount == before, let step = keys.step(name, section), section.problemCount == before else { return nil }
        self.step = step
    }
}

/// The keys of one action as written; an empty text counts as not written, as in the Go collector.
private struct ActionKeys {
    let key: String?
    let pattern: String?
    let fromAttribute: String?
    let convertedType: String?
    let value: ConfigValue?
    let fallback: ConfigValue?

    init(from section: ConfigSection) {
        func text(_ key: String) -> String? { section.string(key).flatMap { $0.isEmpty ? nil : $0 } }
        key = text("key")
        pattern = text("pattern")
        fromAttribute = text("from_attribute")
        convertedType = text("converted_type")
        value = section.anyValue("value")
        fallback = section.anyValue("default_value")
        if text("from_context") != nil {
            section.problem(
                "is not supported: nothing of the client but its spans is kept; use value or from_attribute", at: "from_context")
        }
    }

    /// Notes what is missing and what the action has no use for.
    func check(_ name: AttributeAction.Name, _ section: ConfigSection) {
        let usesPattern = name == .delete || name == .hash || name == .extract
        if name == .delete || name == .hash {
            if key == nil, pattern == nil { section.problem("\(name.rawValue) needs a key, a pattern, or both") }
        } else if key == nil {
            section.problem("is required", at: "key")
        }
        if name.takesValue {
            if value == nil, fromAttribute == nil, fallback == nil {
                section.problem("\(name.rawValue) needs one of value, from_attribute and default_value")
            }
            if value != nil, fromAttribute != nil { section.problem("value and from_attribute exclude each other", at: "from_attribute") }
        }
        func refuse(_ written: Bool, _ key: String) {
            if written { section.problem("has no meaning for \(name.rawValue)", at: key) }
        }
        refuse(!name.takesValue && value != nil, "value")
        refuse(!name.takesValue && fromAttribute != nil, "from_attribute")
        refuse(!name.takesValue && fallback != nil, "default_value")
        refuse(!usesPattern && pattern != nil, "pattern")
        refuse(name != .convert && convertedType != nil, "converted_type")
        if name == .extract, pattern == nil { section.problem("is required", at: "pattern") }
        if name == .convert, convertedType == nil {
            section.problem("is required: one of \(Self.types)", at: "converted_type")
        }
    }

    /// Nil, with the problem noted, when something cannot be made; `check` has found nothing.
    func step(_ name: AttributeAction.Name, _ section: ConfigSection) -> AttributeAction.Step? {
        let compiled = pattern.flatMap { section.pattern($0, at: "pattern") }
        switch name {
        case .delete: return .delete(selection(compiled))
        case .hash: return .hash(selection(compiled))
        case .insert, .update, .upsert, .extract, .convert: break
        }
        guard let key = key.map(StableBytes.init) else { return nil }
        switch name {
        case .insert: return source.map { .insert(key, $0) }
        case .update: return source.map { .update(key, $0) }
        case .upsert: return source.map { .upsert(key, $0) }
        case .extract: return compiled.flatMap { extract(key, $0, section) }
        case .convert:
            guard let type = convertedType.flatMap(ConvertedType.init) else {
                section.problem("is not one of \(Self.types)", at: "converted_type")
                return nil
            }
            return .convert(key, type)
        case .delete, .hash: return nil
        }
    }

    private static var types: String { ConvertedType.allCases.map(\.rawValue).joined(separator: ", ") }

    private func selection(_ compiled: Pattern?) -> AttributeAction.Selection {
        AttributeAction.Selection(key: key.map(StableBytes.init), pattern: compiled)
    }

    private var source: AttributeAction.Source? {
        if let fromAttribute { return .attribute(StableBytes(fromAttribute), default: fallback.map(Self.encoded)) }
        return (value ?? fallback).map { .value(Self.encoded($0)) }
    }

    private static func encoded(_ value: ConfigValue) -> StableBytes {
        var output = OutputBuffer()
        output.appendValue(value)
        return output.withBytes { StableBytes(Array($0)) }
    }

    private func extract(_ key: StableBytes, _ pattern: Pattern, _ section: ConfigSection) -> AttributeAction.Step? {
        let names = pattern.groupNames
        let named = names.compactMap { $0 }
        if named.isEmpty {
            section.problem("has no named group: write (?P<name>...) for each attribute", at: "pattern")
        } else if named.count < names.count {
            section.problem("has a group without a name: write (?P<name>...), or (?:...) for one that is no attribute", at: "pattern")
        } else if names.count > AttributeActionConfig.groupsMax {
            section.problem("has more than \(AttributeActionConfig.groupsMax) groups", at: "pattern")
        } else {
            return .extract(key, pattern, names: named.map(StableBytes.init))
        }
        return nil
    }
}

extension ConfigSection {
    /// Compiles a pattern written under `key`; nil, with the problem noted, when it is none.
    func pattern(_ text: String, at key: String) -> Pattern? {
        do throws(PatternProblem) {
            return try Pattern(text)
        } catch {
            problem("\(error)", at: key)
            return nil
        }
    }

    /// Compiles a list of patterns; those that are none are noted as problems, by their number from 1.
    func patterns(_ key: String) -> [Pattern] {
        patterns(strings(key, default: []), at: key)
    }

    func patterns(_ texts: [String], at key: String) -> [Pattern] {
        texts.enumerated().compactMap { number, text in
            do throws(PatternProblem) {
                return try Pattern(text)
            } catch {
                problem("number \(number + 1) is \(error)", at: key)
                return nil
            }
        }
    }
}
