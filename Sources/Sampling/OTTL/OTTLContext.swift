/// What a condition is about: whose the bare names (`name`, `attributes[...]`) are.
public enum OTTLContext: String, CaseIterable, Sendable {
    case resource
    case scope
    case span
    case spanEvent = "spanevent"

    /// The innermost thing that a condition speaks of when every path says whose it is (`span.name`, `resource.attributes[...]`).
    static func inferred(from tokens: [OTTLToken]) -> OTTLContext {
        var found: OTTLContext?
        for (token, next) in zip(tokens, tokens.dropFirst()) {
            let context: OTTLContext?
            switch token.kind {
            case .word(let word) where next.kind == .symbol("."): context = OTTLContext(pathPrefix: word)
            case .function("IsRootSpan"): context = .span
            default: context = nil
            }
            if let context { found = max(found ?? context, context) }
        }
        return found ?? .span
    }

    private init?(pathPrefix: String) {
        switch pathPrefix {
        case "instrumentation_scope": self = .scope
        default: self.init(rawValue: pathPrefix)
        }
    }

    /// From outside to inside.
    private var depth: Int {
        switch self {
        case .resource: 0
        case .scope: 1
        case .span: 2
        case .spanEvent: 3
        }
    }
}

extension OTTLContext: Comparable {
    public static func < (left: OTTLContext, right: OTTLContext) -> Bool { left.depth < right.depth }
}
