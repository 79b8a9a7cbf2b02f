import Configuration
import Crypto
import Patterns
import Pipeline
import SelfTelemetry

/// `processors.redaction`: keeps the attributes that are allowed, removes or masks the others, with the keys and the meaning of the Go
/// collector's processor of this name, on resources, scopes, spans and events.
///
/// Different from there: `url_sanitizer`, `db_sanitizer` and `skip_conditions` are refused at start; a `summary` that does not exist is
/// a problem instead of none; in texts that are not UTF-8 `.` matches no invalid byte. What `redact_all_types` makes a text of differs
/// as `OutputBuffer.appendText(of:)` says. For finding personal data by its form, and inside lists, maps and JSON, see `pii_redaction`.
public struct KeyRedactionConfig: Sendable {
    enum Summary: String, CaseIterable, Sendable {
        /// Counts and keys.
        case debug
        /// Counts.
        case info
        case silent
    }

    enum HashFunction: String, CaseIterable, Sendable {
        case md5, sha1, sha3
        case hmacSHA256 = "hmac-sha256"
        case hmacSHA512 = "hmac-sha512"

        /// The digest's own length (RFC 2104, section 3); nil when there is no key.
        var keyBytesMin: Int? {
            switch self {
            case .hmacSHA256: 32
            case .hmacSHA512: 64
            case .md5, .sha1, .sha3: nil
            }
        }

        var algorithm: Digest.Algorithm {
            switch self {
            case .md5: .md5
            case .sha1: .sha1
            case .sha3: .sha3
            case .hmacSHA256: .sha256
            case .hmacSHA512: .sha512
            }
        }
    }

    var allowsAllKeys: Bool
    var allowedKeys: KeyTable
    var ignoredKeys: KeyTable
    var ignoredKeyPatterns: PatternList
    var blockedKeyPatterns: PatternList
    var blockedValues: PatternList
    var allowedValues: PatternList
    var redactsAllTypes: Bool
    var summary: Summary
    /// Nil: what is masked becomes asterisks.
    var digest: Digest?

    /// What this processor writes: allowed always, so that a second one adds to it instead of removing it. Those with `body` come from
    /// the Go collector's logs.
    private static let summaryKeys = ["redaction.", "redaction.body."].flatMap { prefix in
        ["redacted.keys", "redacted.count", "masked.keys", "masked.count", "allowed.keys", "allowed.count", "ignored.count"]
            .map { prefix + $0 }
    }

    public init(from section: ConfigSection) {
        allowsAllKeys = section.bool("allow_all_keys", default: false)
        allowedKeys = KeyTable(section.strings("allowed_keys", default: []) + Self.summaryKeys)
        ignoredKeys = KeyTable(section.strings("ignored_keys", default: []))
        ignoredKeyPatterns = Self.patterns(section, "ignored_key_patterns")
        redactsAllTypes = section.bool("redact_all_types", default: false)
        blockedKeyPatterns = Self.patterns(section, "blocked_key_patterns")
        blockedValues = Self.patterns(section, "blocked_values")
        allowedValues = Self.patterns(section, "allowed_values")
        summary = section.choice("summary", default: .silent)
        digest = Self.digest(section)
        for key in ["url_sanitizer", "db_sanitizer", "skip_conditions"] where section.has(key) {
            section.problem("is not supported", at: key)
        }
        section.finish()
    }

    private static func patterns(_ section: ConfigSection, _ key: String) -> PatternList {
        let texts = section.strings(key, default: [])
        return PatternList(texts, compiled: section.patterns(texts, at: key))
    }

    private static func digest(_ section: ConfigSection) -> Digest? {
        let key = section.secret("hmac_key").flatMap { $0.isEmpty ? nil : Array($0.utf8) }
        var function: HashFunction?
        if let text = section.string("hash_function"), !text.isEmpty {
            function = section.choice("hash_function", default: HashFunction.md5)
        }
        if key != nil, function?.keyBytesMin == nil {
            section.problem("has no meaning without hash_function: hmac-sha256 or hmac-sha512", at: "hmac_key")
        }
        guard let function else { return nil }
        if let least = function.keyBytesMin {
            if key == nil {
                section.problem("is required for \(function.rawValue)", at: "hmac_key")
            } else if let key, key.count < least {
                section.problem("must have at least \(least) bytes for \(function.rawValue)", at: "hmac_key")
            }
        }
        let made = Digest(function.algorithm, key: function.keyBytesMin == nil ? nil : key)
        if made == nil { section.problem("\(function.rawValue) is not offered by this system's OpenSSL", at: "hash_function") }
        return made
    }

    /// The processor these settings describe. It works on the thread that brings the batch, and holds nothing.
    public func processor(
        id: String, next: any Consumer<SpanBatch>, registry: MetricRegistry
    ) -> any Consumer<SpanBatch> & Component {
        let metrics = KeyRedactionMetrics(registry: registry, processor: id)
        return EditingProcessor(id: id, next: next, refused: metrics.refused) { KeyRedactionEditor(self, metrics) }
    }
}
