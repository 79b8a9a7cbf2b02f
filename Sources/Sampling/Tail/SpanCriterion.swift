import Glibc
import OTLPWire
import Patterns

/// A property that a single span has or has not. A trace has met it when one of its spans has.
enum SpanCriterion: Sendable {
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
    /// All of: the span's service, its name, its attributes.
    case rule(service: StringMatcher?, name: StringMatcher?, attributes: [(key: [UInt8], matcher: StringMatcher)])

    /// Attributes are looked for on the resource too.
    var attributeKey: [UInt8]? {
        switch self {
        case .string(let key, _), .number(let key, _), .bool(let key, _): key
        default: nil
        }
    }

    /// Whether the attribute's value is what the criterion asks for.
    func accepts(_ value: AnyValueView) -> Bool {
        switch (self, value) {
        case (.string(_, let matcher), _): matcher.matches(value)
        case (.number(_, let range), .int(let int)): range.contains(Double(int))
        case (.number(_, let range), .double(let double)): range.contains(double)
        case (.bool(_, let wanted), .bool(let bool)): bool == wanted
        default: false
        }
    }
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

/// All criteria of a sampler's policies, numbered; tells which of them a span meets.
struct SpanCriteria: Sendable {
    private(set) var all: [SpanCriterion] = []
    /// Criteria about one attribute, by its key.
    private var byKey: [KeyedCriteria] = []
    private var others: [Int] = []
    private var dynamicKeys: [[UInt8]] = []
    /// Bit n: a key of n bytes is asked for (63: of 63 and more).
    private var lengths: UInt64 = 0

    private struct KeyedCriteria: Sendable {
        let key: [UInt8]
        var numbers: [Int]
    }

    var count: Int { all.count }

    mutating func add(_ criterion: SpanCriterion) -> Int {
        let number = all.count
        all.append(criterion)
        guard let key = criterion.attributeKey else {
            others.append(number)
            return number
        }
        lengths |= 1 << UInt64(min(key.count, 63))
        if let index = byKey.firstIndex(where: { $0.key == key }) {
            byKey[index].numbers.append(number)
        } else {
            byKey.append(KeyedCriteria(key: key, numbers: [number]))
        }
        return number
    }

    mutating func setDynamicKeys(_ keys: [[UInt8]]) { dynamicKeys = keys }

    var needsResource: Bool { !byKey.isEmpty || !dynamicKeys.isEmpty }

    /// What the resource meets: for all of its spans.
    func metBy(_ resource: ResourceView) -> CriteriaSet {
        var met = CriteriaSet()
        if !byKey.isEmpty { add(resource.attributes, to: &met) }
        return met
    }

    /// - Parameter failures: conditions that could not be evaluated are counted here.
    func met(by span: SpanView, spend: SpanSpend?, failures: inout Int) -> CriteriaSet {
        var met = CriteriaSet()
        if !byKey.isEmpty { add(span.attributes, to: &met) }
        for number in others {
            guard case .conditions(let onSpan, let onEvent, let failure) = all[number] else {
                if holds(all[number], span, spend) { met.insert(number) }
                continue
            }
            let before = failures
            if onSpan.contains(where: { Self.holds($0, span, &failures) }) || Self.anyEvent(of: span, onEvent, &failures) {
                met.insert(number)
            }
            if let failure, failures != before { met.insert(failure) }
        }
        return met
    }

    private func add(_ attributes: AttributesView, to met: inout CriteriaSet) {
        for attribute in attributes {
            guard lengths >> UInt64(min(attribute.key.count, 63)) & 1 == 1 else { continue }
            for entry in byKey where entry.key.count == attribute.key.count {
                guard attribute.key.isEqual(to: entry.key) else { continue }
                let value = attribute.value
                for number in entry.numbers where !met.contains(number) && all[number].accepts(value) { met.insert(number) }
                break
            }
        }
    }

    private func holds(_ criterion: SpanCriterion, _ span: SpanView, _ spend: SpanSpend?) -> Bool {
        switch criterion {
        case .string, .number, .bool, .conditions, .failure: return false
        case .status(let mask):
            let code = span.status.code
            return code >= 0 && code < 8 && mask >> UInt8(code) & 1 == 1
        case .traceState(let key, let values): return Self.member(key, of: span.traceState).map { values.contains(Array($0)) } ?? false
        case .sampledFlag: return span.flags & 1 == 1
        case .cost(let least): return (spend?.costUSD).map { $0 >= least } ?? false
        case .rule(let service, let name, let attributes):
            if let name, !name.matches(span.name) { return false }
            if let service, !(span.resource.attributes.firstString("service.name").map(service.matches) ?? false) { return false }
            return attributes.allSatisfy { wanted in
                span.attributes.contains { $0.key.isEqual(to: wanted.key) && wanted.matcher.matches($0.value) }
                    || span.resource.attributes.contains { $0.key.isEqual(to: wanted.key) && wanted.matcher.matches($0.value) }
            }
        }
    }

    private static func holds(_ condition: OTTLCondition, _ span: SpanView, _ failures: inout Int) -> Bool {
        do throws(OTTLFailure) {
            return try condition.holds(for: span)
        } catch {
            failures += 1
            return false
        }
    }

    private static func anyEvent(of span: SpanView, _ conditions: [OTTLCondition], _ failures: inout Int) -> Bool {
        for index in 0..<span.eventCount {
            let event = span.event(at: index)
            for condition in conditions {
                do throws(OTTLFailure) {
                    if try condition.holds(for: event, at: index, of: span) { return true }
                } catch {
                    failures += 1
                }
            }
        }
        return false
    }

    /// The value of a tracestate's member.
    private static func member(_ key: [UInt8], of traceState: WireBytes) -> Slice<WireBytes>? {
        for member in traceState.split(separator: UInt8(ascii: ",")) {
            let trimmed = member.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard let equals = trimmed.firstIndex(of: UInt8(ascii: "=")), trimmed[..<equals].elementsEqual(key) else { continue }
            return trimmed[(equals + 1)...]
        }
        return nil
    }

    // MARK: Key of `dynamic`

    /// Hash of the values of the dynamic keys on the span, or on its resource where the span has none.
    func dynamicKey(of span: SpanView, seed: UInt64) -> UInt64 {
        var hash = KeyedHash(seed: seed)
        for key in dynamicKeys {
            let value = span.attributes.first { $0.key.isEqual(to: key) } ?? span.resource.attributes.first { $0.key.isEqual(to: key) }
            hash.add(value?.value)
        }
        return hash.value
    }

    var hasDynamicKeys: Bool { !dynamicKeys.isEmpty }
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
