import OTLPWire

/// Says in words why a policy holds for a trace or does not.
struct PolicyWords {
    let policies: TailPolicies
    let judge: TailJudge
    let facts: TraceFacts
    let traceID: TraceID
    let witnesses: [Int: TailExplainer.Witness]

    func lines(_ node: PolicyNode) -> [String] {
        switch node {
        case .always: ["every trace"]
        case .criterion(let number, let isInverted): [criterion(number, isInverted)]
        case .latency(let threshold, let upper):
            if let upper {
                ["took \(facts.durationMilliseconds) ms; more than \(threshold) and at most \(upper) ms are asked for"]
            } else {
                ["took \(facts.durationMilliseconds) ms; at least \(threshold) ms are asked for"]
            }
        case .spanCount(let min, let max):
            ["has \(facts.spanCount) spans; at least \(min)\(max.map { " and at most \($0)" } ?? "") are asked for"]
        case .cost(let least): ["cost \(Self.dollars(facts.costUSD)); at least \(Self.dollars(least)) are asked for"]
        case .tokens(let total, let prompt, let completion): tokens(total, prompt, completion)
        case .random(let source, let probability): [drawn(source, probability)]
        case .rules(let rules, let source): [self.rules(rules, source)]
        case .and(let nodes) where nodes.count == 1: nodes.flatMap(lines)
        case .and(let nodes): ["all of:"] + nodes.flatMap(lines).map { "  " + $0 }
        case .not(let node): ["not:"] + lines(node).map { "  " + $0 }
        case .limiter(let number): limiter(number)
        case .weighted(let number, let source): [weighted(number, source)]
        }
    }

    private func tokens(_ total: Int64?, _ prompt: Int64?, _ completion: Int64?) -> [String] {
        let asked: [(String, Int64, Int64?)] = [
            ("tokens", facts.totalTokens, total), ("prompt tokens", facts.promptTokens, prompt),
            ("completion tokens", facts.completionTokens, completion),
        ]
        return asked.compactMap { name, has, least in least.map { "has \(has) \(name); at least \($0) are asked for" } }
    }

    private func drawn(_ source: RandomSource, _ probability: Double) -> String {
        if probability >= 1 { return "every trace" }
        if probability <= 0 { return "no trace" }
        let draw = judge.draw(source, traceID)
        return "its draw is \(Self.short(draw)); up to \(Self.short(probability)) are kept"
    }

    private func rules(_ rules: [(criterion: Int, probability: Double)], _ source: RandomSource) -> String {
        guard let index = rules.firstIndex(where: { facts.met.contains($0.criterion) }) else { return "no span meets any rule" }
        let place = "rule \(index + 1) is the first that a span meets (\(witness(rules[index].criterion)))"
        return "\(place): \(drawn(source, rules[index].probability))"
    }

    private func limiter(_ number: Int) -> [String] {
        switch policies.limiters[number] {
        case .spansPerSecond(let rate, _):
            ["has \(facts.spanCount) spans of the \(Self.short(rate)) spans a second that are kept: depends on the traces before it"]
        case .bytesPerSecond(let rate, _):
            ["has \(facts.byteCount) bytes of the \(Self.short(rate)) bytes a second that are kept: depends on the traces before it"]
        case .composite(let composite):
            ["the first of these that holds, as far as its rate has room:"]
                + composite.parts.flatMap { part in ["  \(part.spansPerSecond) spans a second:"] + lines(part.node).map { "    " + $0 } }
        }
    }

    private func weighted(_ number: Int, _ source: RandomSource) -> String {
        let draw = Self.short(judge.draw(source, traceID))
        switch policies.weighted[number] {
        case .costBudget(let rate, let weight):
            let own =
                switch weight {
                case .cost: Self.dollars(facts.costUSD)
                case .tokens: "\(facts.totalTokens) tokens"
                case .duration: "\(facts.durationMilliseconds) ms"
                }
            return "weighs \(own), its draw is \(draw); how much it takes depends on the other traces (\(Self.short(rate)) spans a second)"
        case .dynamic: return "its draw is \(draw); its rate depends on how many traces have the same key"
        }
    }

    // MARK: Criteria

    private func criterion(_ number: Int, _ isInverted: Bool) -> String {
        let wanted = Self.text(policies.criteria.all[number])
        let found = facts.met.contains(number) ? "\(wanted): \(witness(number))" : "no span: \(wanted)"
        return isInverted ? "\(found) (inverted)" : found
    }

    private func witness(_ number: Int) -> String {
        guard let witness = witnesses[number] else { return "no span" }
        let name = String(decoding: witness.span.name, as: UTF8.self)
        let digits = String(witness.span.spanID.word, radix: 16)
        let id = String(repeating: "0", count: 16 - digits.count) + digits
        return "span \"\(name)\" \(id)" + (witness.count > 1 ? " and \(witness.count - 1) more" : "")
    }

    private static func text(_ criterion: SpanCriterion) -> String {
        switch criterion {
        case .string(let key, let matcher): "\(string(key)) \(text(matcher))"
        case .number(let key, let range): "\(string(key)) from \(short(range.lowerBound)) to \(short(range.upperBound))"
        case .bool(let key, let wanted): "\(string(key)) is \(wanted)"
        case .status(let mask):
            "status is "
                + ["UNSET", "OK", "ERROR"].enumerated().filter { mask >> UInt8($0.offset) & 1 == 1 }.map(\.element).joined(
                    separator: " or ")
        case .traceState(let key, _): "the tracestate's \(string(key)) is one of the values"
        case .sampledFlag: "the sampled flag is set"
        case .conditions: "a condition holds"
        case .failure: "a condition cannot be evaluated"
        case .cost(let least): "costs at least \(dollars(least))"
        case .rule: "meets the rule"
        }
    }

    private static func text(_ matcher: StringMatcher) -> String {
        switch matcher.form {
        case .values(let values):
            "is " + values.map { "\"\(string($0))\"" }.sorted().joined(separator: " or ")
        case .patterns(let patterns): "matches " + patterns.map { "\"\($0.text)\"" }.joined(separator: " or ")
        case .glob(let glob): "matches \"\(glob.text)\""
        }
    }

    private static func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func dollars(_ amount: Double) -> String { "$" + short(amount) }

    /// Without a decimal point where there is nothing after it, and at most six digits after it.
    private static func short(_ number: Double) -> String {
        guard number.magnitude < 1e15 else { return "\(number)" }
        let rounded = (number * 1e6).rounded() / 1e6
        return rounded == rounded.rounded() ? "\(Int64(rounded))" : "\(rounded)"
    }
}
