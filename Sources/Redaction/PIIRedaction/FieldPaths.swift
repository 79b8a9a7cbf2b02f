import OTLPWire
import Patterns

/// What is done to attributes for their keys alone.
struct KeyRules: Sendable {
    private var literals: [(key: [UInt8], strategy: Strategy)] = []
    private var globs: [(key: Glob, strategy: Strategy)] = []
    /// A bit for each length, modulo 64, that a literal has: spares most keys the comparison.
    private var lengths: UInt64 = 0

    var isEmpty: Bool { literals.isEmpty && globs.isEmpty }

    /// The first rule added for a key counts.
    mutating func add(_ key: String, _ strategy: Strategy) {
        let glob = Glob(key)
        guard glob.isLiteral else { return globs.append((glob, strategy)) }
        literals.append((glob.literal, strategy))
        lengths |= 1 << UInt64(glob.literal.count & 63)
    }

    @inline(__always)
    func strategy(for key: WireBytes) -> Strategy? {
        if lengths >> UInt64(key.count & 63) & 1 == 1 {
            for rule in literals where rule.key.elementsEqual(key) { return rule.strategy }
        }
        if globs.isEmpty { return nil }
        return globs.first { $0.key.matches(key) }?.strategy
    }
}

/// Places named in the configuration that are redacted whole: `span.attributes.K`, `resource.attributes.K`,
/// `event.attributes.K`, `span.name`, `span.status.message`. A key may hold dots and `*`.
struct FieldPaths: Sendable {
    private(set) var span = KeyRules()
    private(set) var resource = KeyRules()
    private(set) var event = KeyRules()
    private(set) var name: Strategy?
    private(set) var statusMessage: Strategy?

    static let forms = "span.attributes.KEY, resource.attributes.KEY, event.attributes.KEY, span.name or span.status.message"

    /// False when `path` is none of the forms.
    mutating func add(_ path: String, _ strategy: Strategy) -> Bool {
        func key(after prefix: String) -> String? {
            path.hasPrefix(prefix) && path.utf8.count > prefix.utf8.count ? String(path.dropFirst(prefix.count)) : nil
        }
        if let key = key(after: "span.attributes.") {
            span.add(key, strategy)
        } else if let key = key(after: "resource.attributes.") {
            resource.add(key, strategy)
        } else if let key = key(after: "event.attributes.") {
            event.add(key, strategy)
        } else if path == "span.name" {
            name = name ?? strategy
        } else if path == "span.status.message" {
            statusMessage = statusMessage ?? strategy
        } else {
            return false
        }
        return true
    }
}
