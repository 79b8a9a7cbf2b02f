import Glibc
import OTLPWire
import Patterns

/// A property that a single span has or has not. A trace has met it when one of its spans has.
enum SpanCriterion: Sendable {
    /// An attribute of the span or its resource is a text that matches. An empty one on a span never does, nor does it equal anything.
    case string(key: [UInt8], StringMatcher)
    case number(key: [UInt8], ClosedRange<Double>)
    case bool(key: [UInt8], Bool)
    /// Bit n: status code n.
    case status(mask: UInt8)
    case traceState(key: [UInt8], values: Set<[UInt8]>)
    /// W3C's sampled flag.
    case sampledFlag
    /// Any of these on the span, or on one of its events. One that cannot be evaluated does not hold, and makes the span meet the
    /// criterion `failure`.
    case conditions(span: [OTTLCondition], event: [OTTLCondition], failure: Int?)
    /// Met by spans on which a condition failed.
    case failure
    case cost(atLeast: Double)
    /// All of: the service of the span's resource, the span's name, attributes of the span or its resource.
    case rule(service: StringMatcher?, name: StringMatcher?, attributes: [(key: [UInt8], matcher: StringMatcher)])
}

/// Texts by equality or by pattern.
struct StringMatcher: Sendable {
    enum Form: Sendable {
        case values(Set<[UInt8]>)
        case patterns([Pattern])
        case glob(Glob)
    }

    let form: Form

    func matches(_ text: WireBytes) -> Bool {
        switch form {
        case .values(let values): values.contains { $0.count == text.count && $0.elementsEqual(text) }
        case .patterns(let patterns): patterns.contains { $0.matches(text) }
        case .glob(let glob): glob.matches(text)
        }
    }

    /// Numbers and booleans are matched by their text, as users see them.
    func matches(_ value: AnyValueView) -> Bool {
        switch value {
        case .string(let text): matches(text)
        case .int(let int): matches(String(int))
        case .bool(let bool): matches(String(bool))
        case .double(let double): matches(String(double))
        case .absent, .array, .keyValueList, .bytes: false
        }
    }

    private func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches(WireBytes($0)) }
    }
}

extension WireBytes {
    @inline(__always)
    func isEqual(to bytes: [UInt8]) -> Bool {
        guard count == bytes.count else { return false }
        return bytes.withUnsafeBytes { other in
            guard let left = baseAddress, let right = other.baseAddress else { return true }
            return memcmp(left, right, count) == 0
        }
    }
}
