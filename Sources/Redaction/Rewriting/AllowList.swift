import OTLPWire
import Patterns

/// Values that are left as they are: globs over the whole value, and for email over the domain alone. Case does not matter.
public struct AllowList: Sendable {
    private let globs: [Glob]

    public init(_ texts: [String]) {
        globs = texts.map { Glob($0, ignoresCase: true) }
    }

    func contains(_ value: WireBytes, isEmail: Bool) -> Bool {
        guard !globs.isEmpty else { return false }
        if globs.contains(where: { $0.matches(value) }) { return true }
        guard isEmail, let sign = value.lastIndex(of: UInt8(ascii: "@")) else { return false }
        let domain = WireBytes(rebasing: value[(sign + 1)...])
        return globs.contains { $0.matches(domain) }
    }
}
