import Configuration
import OTLPWire
import Patterns

/// The settings of each kind of policy.
extension PolicyCompiler {
    static let spansPerSecondRange = 1...1_000_000_000
    private static let bytesPerSecondRange = 1...1_000_000_000_000
    private static let countRange = 0...2_147_483_647
    private static let tokensRange = 0...1_000_000_000_000
    /// A day, and then some: longer traces are not held.
    private static let millisecondsRange = 0...1_000_000_000
    private static let percentRange = 0.0...100.0
    private static let numberRange = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
    private static let usdRange = 0.0...1_000_000_000.0
    /// Go's processor hashes with this when no salt is given.
    private static let defaultSalt = "default-hash-seed"
    /// Bursts that a limiter lets through, in seconds of its rate, when nothing is given (as in Go's processor).
    private static let burstSeconds = 2
    private static let dynamicKeysRange = 1...100_000
    private static let dynamicKeysDefault = 1_000
    private static let cacheRange = 0...1_000_000

    // MARK: Of single spans

    mutating func stringAttribute(_ settings: ConfigSection) -> PolicyNode? {
        let key = key(settings)
        let values = settings.strings("values", default: [])
        if values.isEmpty { settings.problem("at least one value is needed", at: "values") }
        let isPattern = settings.bool("enabled_regex_matching", default: false)
        // RE2 is as quick as a look into a cache, so there is none.
        _ = settings.int("cache_max_size", in: Self.cacheRange)
        let isInverted = settings.bool("invert_match", default: false)
        guard let key, !values.isEmpty else { return nil }
        guard isPattern else {
            let texts = Set(values.filter { !$0.isEmpty }.map { Array($0.utf8) })
            return criterion(.string(key: key, StringMatcher(form: .values(texts))), inverted: isInverted, settings)
        }
        let patterns = values.map { pattern($0, settings) }
        let whole = patterns.compactMap { $0 }
        guard whole.count == patterns.count else { return nil }
        return criterion(.string(key: key, StringMatcher(form: .patterns(whole))), inverted: isInverted, settings)
    }

    private func pattern(_ text: String, _ settings: ConfigSection) -> Pattern? {
        do throws(PatternProblem) {
            return try Pattern(text)
        } catch {
            settings.problem(error.description, at: "values")
            return nil
        }
    }

    mutating func numericAttribute(_ settings: ConfigSection) -> PolicyNode? {
        let key = key(settings)
        let least = settings.double("min_value", in: Self.numberRange)
        let most = settings.double("max_value", in: Self.numberRange)
        let isInverted = settings.bool("invert_match", default: false)
        if !settings.has("min_value"), !settings.has("max_value") { settings.problem("min_value or max_value is needed") }
        let bounds = (least ?? -.infinity, most ?? .infinity)
        guard bounds.0 <= bounds.1 else {
            settings.problem("must be at least min_value", at: "max_value")
            return nil
        }
        guard let key, least != nil || most != nil else { return nil }
        return criterion(.number(key: key, bounds.0...bounds.1), inverted: isInverted, settings)
    }

    mutating func booleanAttribute(_ settings: ConfigSection) -> PolicyNode? {
        let key = key(settings)
        let value = settings.bool("value", default: false)
        let isInverted = settings.bool("invert_match", default: false)
        return key.flatMap { criterion(.bool(key: $0, value), inverted: isInverted, settings) }
    }

    mutating func statusCode(_ settings: ConfigSection) -> PolicyNode? {
        let names = settings.strings("status_codes", default: [])
        if names.isEmpty { settings.problem("at least one status code is needed", at: "status_codes") }
        var mask: UInt8 = 0
        for name in names {
            // Order of the codes in OTLP.
            if let code = ["UNSET", "OK", "ERROR"].firstIndex(of: name.uppercased()) {
                mask |= 1 << UInt8(code)
            } else {
                settings.problem("'\(name.prefix(40))' is not one of OK, ERROR, UNSET", at: "status_codes")
            }
        }
        return mask == 0 ? nil : criterion(.status(mask: mask), inverted: false, settings)
    }

    mutating func traceState(_ settings: ConfigSection) -> PolicyNode? {
        let key = key(settings)
        let values = settings.strings("values", default: [])
        if values.isEmpty { settings.problem("at least one value is needed", at: "values") }
        guard let key, !values.isEmpty else { return nil }
        return criterion(.traceState(key: key, values: Set(values.map { Array($0.utf8) })), inverted: false, settings)
    }

    mutating func ottlCondition(_ settings: ConfigSection) -> PolicyNode? {
        enum ErrorMode: String, CaseIterable { case ignore, silent, propagate }
        let mode = settings.choice("error_mode", default: ErrorMode.ignore)
        let spans = conditions(settings, "span", onEvents: false)
        let events = conditions(settings, "spanevent", onEvents: true)
        guard let spans, let events else { return nil }
        guard !spans.isEmpty || !events.isEmpty else {
            settings.problem("a condition under span or spanevent is needed")
            return nil
        }
        guard mode == .propagate else {
            return criterion(.conditions(span: spans, event: events, failure: nil), inverted: false, settings)
        }
        // A condition that fails on some span takes the policy's answer away.
        guard let failure = add(.failure, settings),
            let holds = criterion(.conditions(span: spans, event: events, failure: failure), inverted: false, settings)
        else { return nil }
        return .and([.criterion(failure, inverted: true), holds])
    }

    private func conditions(_ settings: ConfigSection, _ key: String, onEvents: Bool) -> [OTTLCondition]? {
        let texts = settings.listedTexts(key)
        let conditions = texts.map { text -> OTTLCondition? in
            do throws(OTTLError) {
                return try OTTLCondition(text.text, onEvents: onEvents)
            } catch {
                settings.problem(error.description, at: text)
                return nil
            }
        }
        let whole = conditions.compactMap { $0 }
        return whole.count == texts.count ? whole : nil
    }

    private func key(_ settings: ConfigSection) -> [UInt8]? {
        guard let key = settings.requiredString("key") else { return nil }
        if key.isEmpty { settings.problem("must not be empty", at: "key") }
        return key.isEmpty ? nil : Array(key.utf8)
    }

    // MARK: Of whole traces

    func latency(_ settings: ConfigSection) -> PolicyNode? {
        let threshold = settings.int("threshold_ms", default: 0, in: Self.millisecondsRange)
        let upper = settings.int("upper_threshold_ms", default: 0, in: Self.millisecondsRange)
        if upper != 0, upper <= threshold { settings.problem("must be more than threshold_ms", at: "upper_threshold_ms") }
        return .latency(threshold: UInt64(threshold), upper: upper == 0 ? nil : UInt64(upper))
    }

    func spanCount(_ settings: ConfigSection) -> PolicyNode? {
        let least = settings.int("min_spans", default: 0, in: Self.countRange)
        let most = settings.int("max_spans", default: 0, in: Self.countRange)
        if most != 0, most < least { settings.problem("must be at least min_spans", at: "max_spans") }
        return .spanCount(min: least, max: most == 0 ? nil : most)
    }

    mutating func cost(_ settings: ConfigSection) -> PolicyNode? {
        enum Per: String, CaseIterable { case trace, span }
        let per = settings.choice("per", default: Per.trace)
        guard let least = required(settings, "min_usd", Self.usdRange) else { return nil }
        return per == .trace ? .cost(atLeast: least) : criterion(.cost(atLeast: least), inverted: false, settings)
    }

    func tokens(_ settings: ConfigSection) -> PolicyNode? {
        let keys = ["min_total", "min_prompt", "min_completion"]
        let bounds = keys.map { settings.int($0, in: Self.tokensRange).map(Int64.init) }
        guard keys.contains(where: settings.has) else {
            settings.problem("one of \(keys.joined(separator: ", ")) is needed")
            return nil
        }
        return .tokens(total: bounds[0], prompt: bounds[1], completion: bounds[2])
    }

    // MARK: By chance

    mutating func probabilistic(_ settings: ConfigSection) -> PolicyNode? {
        let salt = settings.string("hash_salt", default: "")
        guard let percent = required(settings, "sampling_percentage", Self.percentRange) else { return nil }
        return .random(compiled.saltedSource(salt.isEmpty ? Self.defaultSalt : salt), probability: percent / 100)
    }

    mutating func priority(_ settings: ConfigSection) -> PolicyNode? {
        let sections = settings.sections("rules")
        if sections.isEmpty { settings.problem("at least one rule is needed", at: "rules") }
        var rules: [(criterion: Int, probability: Double)] = []
        for section in sections {
            let match = section.section("match").map(rule)
            guard let percent = required(section, "sampling_percentage", Self.percentRange) else { continue }
            guard let number = add(match ?? .rule(service: nil, name: nil, attributes: []), settings) else { continue }
            rules.append((number, percent / 100))
        }
        guard rules.count == sections.count, !rules.isEmpty else { return nil }
        return .rules(rules, compiled.independentSource())
    }

    private func rule(_ match: ConfigSection) -> SpanCriterion {
        let service = match.string("service").map { matcher($0) }
        let name = match.string("name").map { matcher($0) }
        let attributes = match.stringMap("attributes").map { (key: Array($0.0.utf8), matcher: matcher($0.1)) }
        return .rule(service: service, name: name, attributes: attributes)
    }

    /// A text in which `*` stands for anything.
    private func matcher(_ text: String) -> StringMatcher { StringMatcher(form: .glob(Glob(text))) }

    // MARK: By rate

    mutating func rateLimiting(_ settings: ConfigSection) -> PolicyNode? {
        guard let rate = required(settings, "spans_per_second", Self.spansPerSecondRange) else { return nil }
        let burst = settings.int("burst_capacity", default: rate * Self.burstSeconds, in: 1...Self.spansPerSecondRange.upperBound * 2)
        compiled.limiters.append(.spansPerSecond(Double(rate), burst: Double(burst)))
        return .limiter(compiled.limiters.count - 1)
    }

    mutating func bytesLimiting(_ settings: ConfigSection) -> PolicyNode? {
        guard let rate = required(settings, "bytes_per_second", Self.bytesPerSecondRange) else { return nil }
        let burst = settings.int("burst_capacity", default: rate * Self.burstSeconds, in: 1...Self.bytesPerSecondRange.upperBound * 2)
        compiled.limiters.append(.bytesPerSecond(Double(rate), burst: Double(burst)))
        return .limiter(compiled.limiters.count - 1)
    }

    mutating func costBudget(_ settings: ConfigSection) -> PolicyNode? {
        let weight = settings.choice("weight", default: CostBudget.Weight.cost)
        guard let rate = required(settings, "spans_per_second", Self.spansPerSecondRange) else { return nil }
        compiled.weighted.append(.costBudget(spansPerSecond: Double(rate), weight: weight))
        return .weighted(compiled.weighted.count - 1, compiled.independentSource())
    }

    mutating func dynamic(_ settings: ConfigSection) -> PolicyNode? {
        let spans = settings.int("goal_spans_per_second", in: Self.spansPerSecondRange)
        let rate = settings.double("goal_sample_rate", in: 1...Double(Self.spansPerSecondRange.upperBound))
        let keys = settings.strings("key", default: [])
        let keysMax = settings.int("max_keys", default: Self.dynamicKeysDefault, in: Self.dynamicKeysRange)
        if keys.isEmpty { settings.problem("at least one attribute is needed", at: "key") }
        if let dynamicKeys, dynamicKeys != keys {
            // A trace notes one key, not one per policy.
            settings.problem("all dynamic policies of a sampler have the same key", at: "key")
        }
        guard settings.has("goal_spans_per_second") != settings.has("goal_sample_rate") else {
            settings.problem("one of goal_spans_per_second and goal_sample_rate is needed")
            return nil
        }
        guard let goal = spans.map({ DynamicRate.Goal.spansPerSecond(Double($0)) }) ?? rate.map({ .sampleRate($0) }) else { return nil }
        dynamicKeys = keys
        compiled.criteria.setDynamicKeys(keys.map { Array($0.utf8) })
        compiled.weighted.append(.dynamic(goal, keysMax: keysMax))
        return .weighted(compiled.weighted.count - 1, compiled.independentSource())
    }

    private func required(_ settings: ConfigSection, _ key: String, _ range: ClosedRange<Double>) -> Double? {
        if !settings.has(key) { settings.problem("is required", at: key) }
        return settings.double(key, in: range)
    }

    private func required(_ settings: ConfigSection, _ key: String, _ range: ClosedRange<Int>) -> Int? {
        if !settings.has(key) { settings.problem("is required", at: key) }
        return settings.int(key, in: range)
    }
}
