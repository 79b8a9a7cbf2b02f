import Configuration
import Crypto
import Patterns

/// `processors.pii_redaction`.
public struct PIIRedactionConfig: Sendable {
    /// Where detectors look.
    public enum Place: String, CaseIterable, Sendable {
        case attributes
        case events
        case name
        case statusMessage = "status_message"
        case resource
    }

    public var detect: [Kind] = [.email, .phone, .creditCard, .usSSN, .iban, .ipAddress, .secrets]
    public var strategy = Strategy.hash
    public var places: Set<Place> = [.attributes, .events, .statusMessage]
    public var summary = false
    /// Whether requests are redacted before the write-ahead log gets them.
    public var redactsBeforeLog = false
    /// Nil: a random key per process.
    public var hashKey: KeyedHash?
    var strategies: [Kind: Strategy] = [:]
    var customs: [CustomDetector] = []
    var allow: [String] = []
    var fields = FieldPaths()
    /// Of what these settings do to a text, never 0.
    public private(set) var digest: UInt64 = 1
    /// Whether some strategy in use hashes.
    private var hashes = true

    public init() {}

    public init(from section: ConfigSection) {
        strategy = section.choice("strategy", default: strategy)
        readKey(section)
        detect = Self.kinds(section, "detect", default: detect)
        let names = section.strings("scan", default: Place.allCases.filter { places.contains($0) }.map(\.rawValue))
        places = Set(
            names.compactMap { name in
                let place = Place(rawValue: name)
                if place == nil {
                    let known = Place.allCases.map(\.rawValue).joined(separator: ", ")
                    section.problem("there is no place '\(name)'; places are \(known)", at: "scan")
                }
                return place
            })
        allow = section.strings("allow", default: [])
        summary = section.bool("summary", default: summary)
        redactsBeforeLog = section.bool(Self.beforeLogKey, default: redactsBeforeLog)
        for rule in section.sections("rules") { read(rule: rule) }
        for path in section.strings("fields", default: []) { add(path, strategy, section) }
        for custom in section.sections("custom") { read(custom: custom) }
        hashes = ([strategy] + strategies.values + customs.map(\.strategy)).contains(.hash)
        section.finish()
        digest = Self.digest(section)
    }

    /// Key of `redactsBeforeLog`.
    public static let beforeLogKey = "redact_before_log"

    /// Where it is done makes no difference to what is done. One-way, since it is written into the log and the settings hold the key.
    private static func digest(_ section: ConfigSection) -> UInt64 {
        let lines = section.comparisonText.split(separator: "\n").filter { !$0.contains(beforeLogKey) }
        let bytes = Array(lines.joined(separator: "\n").utf8).withUnsafeBytes { SHA256.digest($0) }
        return max(1, bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    }

    private mutating func readKey(_ section: ConfigSection) {
        guard let text = section.secret("hash_key") else { return }
        let key = Array(text.utf8)
        if key.count < KeyedHash.keyBytesMin {
            section.problem(
                "must have at least \(KeyedHash.keyBytesMin) bytes, so that hashes cannot be undone by trying keys", at: "hash_key")
        } else {
            hashKey = KeyedHash(key: key)
        }
    }

    private static func kinds(_ section: ConfigSection, _ key: String, default fallback: [Kind]) -> [Kind] {
        section.strings(key, default: fallback.map(\.rawValue)).compactMap { name in
            let kind = Kind(rawValue: name)
            if kind == nil {
                let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
                section.problem("there is no detector '\(name)'; they are \(known)", at: key)
            }
            return kind
        }
    }

    private mutating func read(rule section: ConfigSection) {
        let kinds = Self.kinds(section, "detect", default: [])
        let paths = section.strings("fields", default: [])
        let strategy = section.choice("strategy", default: strategy)
        if !section.has("strategy") { section.problem("is required", at: "strategy") }
        if kinds.isEmpty, paths.isEmpty { section.problem("a rule names what to `detect`, or `fields`") }
        for kind in kinds {
            if kind.isCredential, strategy != .replace {
                section.problem("\(kind.rawValue) are always replaced; only strategy: replace can be written", at: "strategy")
            }
            if !detect.contains(kind) { section.problem("\(kind.rawValue) is not in the processor's `detect`", at: "detect") }
            strategies[kind] = strategies[kind] ?? strategy
        }
        for path in paths { add(path, strategy, section) }
        section.finish()
    }

    private mutating func add(_ path: String, _ strategy: Strategy, _ section: ConfigSection) {
        if !fields.add(path, strategy) { section.problem("'\(path)' is not a field; fields are \(FieldPaths.forms)", at: "fields") }
    }

    private mutating func read(custom section: ConfigSection) {
        let name = section.requiredString("name") ?? "custom"
        let isPlain = name.utf8.allSatisfy { ASCII.isLower($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "_") }
        if !isPlain || name.isEmpty { section.problem("must be of small letters, digits and underscores: it becomes a label", at: "name") }
        if Kind(rawValue: name) != nil || customs.contains(where: { $0.name == name }) {
            section.problem("there is a detector '\(name)' already", at: "name")
        }
        let strategy = section.choice("strategy", default: strategy)
        if let text = section.requiredString("regex") {
            do throws(PatternProblem) {
                customs.append(CustomDetector(name: name, pattern: try Pattern(text), strategy: strategy))
            } catch {
                section.problem("\(error)", at: "regex")
            }
        }
        section.finish()
    }

    /// Whether hashes are made with a key that ends with the process.
    public var usesRandomKey: Bool { hashes && hashKey == nil }

    /// For all that have none of their own: equal values get equal tokens throughout the process.
    private static let processKey = KeyedHash.random()

    /// The redactor these settings describe.
    public func redactor() -> TextRedactor {
        TextRedactor(
            detect: KindSet(detect), customs: customs, strategy: strategy, strategies: strategies, allow: AllowList(allow),
            key: hashKey ?? Self.processKey)
    }
}
