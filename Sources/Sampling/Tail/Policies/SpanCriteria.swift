import OTLPWire

/// All criteria of a sampler's policies, numbered; tells which of them a span meets.
struct SpanCriteria: Sendable {
    private(set) var all: [SpanCriterion] = []
    private var attributes = AttributeTests()
    /// Numbers of those that are not about one attribute.
    private var others: [Int] = []
    private var dynamicKeys: [[UInt8]] = []

    /// A rule of `priority`, its parts being criteria of their own.
    private struct Rule: Sendable {
        let number: Int
        let name: StringMatcher?
        var parts: [Int] = []
    }

    private var rules: [Rule] = []

    var count: Int { all.count }

    /// - Returns: nil when there is no room for it in a `CriteriaSet`.
    mutating func add(_ criterion: SpanCriterion) -> Int? {
        let number = all.count
        var parts = 0
        if case .rule(let service, _, let wanted) = criterion { parts = wanted.count + (service == nil ? 0 : 1) }
        guard number + parts < CriteriaSet.capacity else { return nil }
        all.append(criterion)
        switch criterion {
        case .string(let key, let matcher):
            if case .values(let values) = matcher.form {
                attributes.add(key, criterion: number, .texts(values.sorted { $0.lexicographicallyPrecedes($1) }))
            } else {
                attributes.add(key, criterion: number, .text(matcher))
            }
        case .number(let key, let range): attributes.add(key, criterion: number, .number(range))
        case .bool(let key, let wanted): attributes.add(key, criterion: number, .bool(wanted))
        case .status, .traceState, .sampledFlag, .conditions, .cost: others.append(number)
        case .failure: break
        case .rule(let service, let name, let wanted):
            var rule = Rule(number: number, name: name)
            if let service { rule.parts.append(part(Array("service.name".utf8), service, onResourceOnly: true)) }
            for (key, matcher) in wanted { rule.parts.append(part(key, matcher, onResourceOnly: false)) }
            rules.append(rule)
        }
        return number
    }

    private mutating func part(_ key: [UInt8], _ matcher: StringMatcher, onResourceOnly: Bool) -> Int {
        let number = all.count
        all.append(.string(key: key, matcher))
        attributes.add(key, criterion: number, .anything(matcher), onResourceOnly: onResourceOnly)
        return number
    }

    mutating func setDynamicKeys(_ keys: [[UInt8]]) { dynamicKeys = keys }

    var needsResource: Bool { !attributes.isEmpty || !dynamicKeys.isEmpty }

    // MARK: Spans

    /// What the resource meets: for all of its spans, so it is asked once per resource (`ResourceView.identity`).
    func metBy(_ resource: ResourceView) -> CriteriaSet {
        var met = CriteriaSet()
        if !attributes.isEmpty { attributes.walk(resource.attributes, .resource, known: CriteriaSet(), met: &met) }
        return met
    }

    /// What the span and its resource meet.
    ///
    /// - Parameters:
    ///   - resourceMet: `metBy` of its resource; nil has it looked at now, which costs as much again.
    ///   - known: what the trace has met already, of which nothing is told any more; rules are still told rightly.
    ///   - failures: conditions that could not be evaluated are counted here.
    func met(
        by span: SpanView, resourceMet: CriteriaSet? = nil, known: CriteriaSet = CriteriaSet(), spend: SpanSpend?,
        failures: inout Int
    ) -> CriteriaSet {
        var met = resourceMet ?? metBy(span.resource)
        // Parts of rules must be met by one span together, so what other spans have met does not help.
        let known = rules.isEmpty ? known : CriteriaSet()
        if !attributes.isEmpty, !known.contains(attributes.criteria) {
            attributes.walk(span.attributes, .span, known: known, met: &met)
        }
        for number in others where !known.contains(number) || canFail(number) {
            if holds(number, span, spend, &met, &failures) { met.insert(number) }
        }
        for rule in rules where rule.parts.allSatisfy(met.contains) && rule.name?.matches(span.name) ?? true { met.insert(rule.number) }
        return met
    }

    private func holds(
        _ number: Int, _ span: SpanView, _ spend: SpanSpend?, _ met: inout CriteriaSet, _ failures: inout Int
    ) -> Bool {
        switch all[number] {
        case .status(let mask):
            let code = span.status.code
            return code >= 0 && code < 8 && mask >> UInt8(code) & 1 == 1
        case .traceState(let key, let values): return Self.hasMember(key, values, in: span.traceState)
        case .sampledFlag: return span.flags & 1 == 1
        case .conditions(let onSpan, let onEvent, let failure):
            let before = failures
            let holds = onSpan.contains { Self.holds($0, span, &failures) } || Self.anyEvent(of: span, onEvent, &failures)
            if let failure, failures != before { met.insert(failure) }
            return holds
        case .cost(let least): return (spend?.costUSD).map { $0 >= least } ?? false
        case .string, .number, .bool, .failure, .rule: return false
        }
    }

    /// Whether every span counts, because a failed condition takes away what others have met.
    private func canFail(_ number: Int) -> Bool {
        if case .conditions(_, _, .some) = all[number] { return true }
        return false
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
        guard !conditions.isEmpty else { return false }
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

    /// Whether a tracestate's member has one of the values. (W3C Trace Context: members are parted by commas, blanks around them
    /// do not count.)
    private static func hasMember(_ key: [UInt8], _ values: Set<[UInt8]>, in traceState: WireBytes) -> Bool {
        var rest = traceState
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.endIndex
            let member = trimmed(WireBytes(rebasing: rest[..<end]))
            rest = end == rest.endIndex ? WireBytes(start: nil, count: 0) : WireBytes(rebasing: rest[(end + 1)...])
            guard let equals = member.firstIndex(of: UInt8(ascii: "=")), WireBytes(rebasing: member[..<equals]).isEqual(to: key) else {
                continue
            }
            let value = WireBytes(rebasing: member[(equals + 1)...])
            return values.contains { value.isEqual(to: $0) }
        }
        return false
    }

    private static func trimmed(_ text: WireBytes) -> WireBytes {
        let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var rest = text[...]
        while let first = rest.first, isBlank(first) { rest = rest.dropFirst() }
        while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
        return WireBytes(rebasing: rest)
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
