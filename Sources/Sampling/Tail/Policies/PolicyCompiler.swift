import Configuration
import OTLPWire
import Patterns

/// Reads `policies:` into `TailPolicies`: names and keys of the Go collector's tail_sampling, and our own policies.
///
/// Every problem is noted at its place and reading goes on, so that all of them are found in one run.
struct PolicyCompiler {
    enum Kind: String, CaseIterable {
        case alwaysSample = "always_sample"
        case latency
        case numericAttribute = "numeric_attribute"
        case probabilistic
        case statusCode = "status_code"
        case stringAttribute = "string_attribute"
        case booleanAttribute = "boolean_attribute"
        case traceState = "trace_state"
        case traceFlags = "trace_flags"
        case rateLimiting = "rate_limiting"
        case bytesLimiting = "bytes_limiting"
        case spanCount = "span_count"
        case and
        case not
        case drop
        case composite
        case ottlCondition = "ottl_condition"
        case cost
        case tokens
        case priority
        case costBudget = "cost_budget"
        case dynamic

        /// Policies that have no settings.
        var isBare: Bool { self == .alwaysSample || self == .traceFlags }

        /// Whether the answer depends on the traces before: such a policy shares out a rate, which only makes sense for what is kept.
        var hasState: Bool {
            switch self {
            case .rateLimiting, .bytesLimiting, .composite, .costBudget, .dynamic: true
            case .alwaysSample, .latency, .numericAttribute, .probabilistic, .statusCode, .stringAttribute, .booleanAttribute, .traceState,
                .traceFlags, .spanCount, .and, .not, .drop, .ottlCondition, .cost, .tokens, .priority:
                false
            }
        }
    }

    /// Where a policy stands.
    struct Place {
        /// Nil at the top.
        var parent: Kind?
        var depth = 0
        /// Whether only `and` is around it.
        var keepsWhatItHolds = true

        func within(_ kind: Kind) -> Place {
            Place(parent: kind, depth: depth + 1, keepsWhatItHolds: keepsWhatItHolds && kind == .and)
        }
    }

    /// Policies are numbered by a cache of decisions in 16 bits; more are nobody's intention.
    static let policiesMax = 1_000
    /// `and` within `not` within `and` and so on: deep enough for anything readable.
    static let nestingMax = 8

    var compiled = TailPolicies()
    /// Of the first `dynamic` policy.
    var dynamicKeys: [String]?
    private var isFull = false

    static func compile(_ section: ConfigSection, key: String) -> TailPolicies {
        var compiler = PolicyCompiler()
        let sections = section.sections(key)
        if sections.isEmpty { section.problem("at least one policy is needed", at: key) }
        if sections.count > policiesMax { section.problem("at most \(policiesMax) policies are possible", at: key) }
        var names: Set<String> = []
        for policy in sections.prefix(policiesMax) {
            guard let name = policy.requiredString("name") else {
                _ = compiler.node(policy, Place())
                continue
            }
            if !names.insert(name).inserted { policy.problem("another policy has this name", at: "name") }
            let isDrop = policy.string("type") == Kind.drop.rawValue
            guard let node = compiler.node(policy, Place()) else { continue }
            compiler.compiled.policies.append(TailPolicies.Policy(name: name, node: node, isDrop: isDrop))
        }
        let cells = KeepProbability.cells(compiler.compiled.policies.map { $0.node.thresholds(compiler.compiled) })
        if cells > KeepProbability.cellsMax {
            section.problem("combines too many random policies: the probability of a decision would take \(cells) steps", at: key)
        }
        return compiler.compiled
    }

    /// A policy, or nil when it has a problem.
    mutating func node(_ section: ConfigSection, _ place: Place) -> PolicyNode? {
        guard let kind = kind(section) else {
            // Nothing can be said about the keys of an unknown type.
            for key in section.keys { _ = section.has(key) }
            return nil
        }
        if kind.isBare { _ = section.section(kind.rawValue) }
        guard isAllowed(kind, place, section) else {
            _ = section.has(kind.rawValue)
            return nil
        }
        if kind.isBare { return bare(kind, section) }
        guard let settings = section.section(kind.rawValue) else {
            if !section.has(kind.rawValue) { section.problem("is required", at: kind.rawValue) }
            return nil
        }
        return node(kind, settings, place)
    }

    private func kind(_ section: ConfigSection) -> Kind? {
        guard let text = section.requiredString("type") else { return nil }
        let kind = section.choice("type", default: Kind.alwaysSample)
        return kind.rawValue == text.lowercased() ? kind : nil
    }

    private func isAllowed(_ kind: Kind, _ place: Place, _ section: ConfigSection) -> Bool {
        guard let parent = place.parent else { return true }
        if place.depth >= Self.nestingMax {
            section.problem("policies are nested more than \(Self.nestingMax) deep")
        } else if kind == .drop {
            section.problem("drop is a policy by itself, not a part of \(parent.rawValue)", at: "type")
        } else if kind == .composite {
            section.problem("composite is a policy by itself, not a part of \(parent.rawValue)", at: "type")
        } else if kind.hasState, !place.keepsWhatItHolds {
            section.problem(
                "\(kind.rawValue) shares out a rate of what is kept: it can stand alone or in and, not in \(parent.rawValue)", at: "type")
        } else {
            return true
        }
        return false
    }

    private mutating func bare(_ kind: Kind, _ section: ConfigSection) -> PolicyNode? {
        kind == .traceFlags ? criterion(.sampledFlag, inverted: false, section) : .always
    }

    private mutating func node(_ kind: Kind, _ settings: ConfigSection, _ place: Place) -> PolicyNode? {
        switch kind {
        case .alwaysSample: .always
        case .traceFlags: nil
        case .latency: latency(settings)
        case .numericAttribute: numericAttribute(settings)
        case .probabilistic: probabilistic(settings)
        case .statusCode: statusCode(settings)
        case .stringAttribute: stringAttribute(settings)
        case .booleanAttribute: booleanAttribute(settings)
        case .traceState: traceState(settings)
        case .rateLimiting: rateLimiting(settings)
        case .bytesLimiting: bytesLimiting(settings)
        case .spanCount: spanCount(settings)
        case .and: conjunction(settings, "and_sub_policy", place.within(.and))
        case .drop: conjunction(settings, "drop_sub_policy", place.within(.drop))
        case .not: not(settings, place.within(.not))
        case .composite: composite(settings, place.within(.composite))
        case .ottlCondition: ottlCondition(settings)
        case .cost: cost(settings)
        case .tokens: tokens(settings)
        case .priority: priority(settings)
        case .costBudget: costBudget(settings)
        case .dynamic: dynamic(settings)
        }
    }

    /// Nil when there are as many criteria as a trace can note.
    mutating func add(_ criterion: SpanCriterion, _ section: ConfigSection) -> Int? {
        guard let number = compiled.criteria.add(criterion) else {
            if !isFull { section.problem("the policies ask more than \(CriteriaSet.capacity) things of a span") }
            isFull = true
            return nil
        }
        return number
    }

    mutating func criterion(_ criterion: SpanCriterion, inverted: Bool, _ section: ConfigSection) -> PolicyNode? {
        add(criterion, section).map { .criterion($0, inverted: inverted) }
    }

    // MARK: Combinations

    private mutating func conjunction(_ settings: ConfigSection, _ key: String, _ place: Place) -> PolicyNode? {
        let sections = settings.sections(key)
        if sections.isEmpty { settings.problem("at least one policy is needed", at: key) }
        let nodes = sections.map { section in
            _ = section.string("name")
            return node(section, place)
        }
        let whole = nodes.compactMap { $0 }
        return whole.isEmpty || whole.count < nodes.count ? nil : Self.conjunction(whole)
    }

    /// Conditions first, then budgets, then limiters, whatever the order written: `TailJudge` asks those with state last, and in one
    /// level.
    private static func conjunction(_ nodes: [PolicyNode]) -> PolicyNode {
        var ranked: [(rank: Int, node: PolicyNode)] = []
        for node in nodes {
            switch node {
            case .and(let inner): ranked += inner.map { (rank($0), $0) }
            default: ranked.append((rank(node), node))
            }
        }
        return .and((0...2).flatMap { rank in ranked.filter { $0.rank == rank }.map(\.node) })
    }

    private static func rank(_ node: PolicyNode) -> Int {
        switch node {
        case .limiter: 2
        case .weighted: 1
        case .always, .criterion, .latency, .spanCount, .cost, .tokens, .random, .rules, .and, .not: 0
        }
    }

    private mutating func not(_ settings: ConfigSection, _ place: Place) -> PolicyNode? {
        guard let section = settings.section("not_sub_policy") else {
            if !settings.has("not_sub_policy") { settings.problem("is required", at: "not_sub_policy") }
            return nil
        }
        _ = section.string("name")
        return node(section, place).map { .not($0) }
    }

    private mutating func composite(_ settings: ConfigSection, _ place: Place) -> PolicyNode? {
        guard let total = settings.int("max_total_spans_per_second", in: Self.spansPerSecondRange) else {
            if !settings.has("max_total_spans_per_second") { settings.problem("is required", at: "max_total_spans_per_second") }
            return nil
        }
        var nodes: [(name: String, node: PolicyNode)] = []
        var names: [String] = []
        let sections = settings.sections("composite_sub_policy")
        if sections.isEmpty { settings.problem("at least one policy is needed", at: "composite_sub_policy") }
        for section in sections {
            let name = section.requiredString("name")
            if let name, names.contains(name) { section.problem("another policy has this name", at: "name") }
            let node = node(section, place)
            if let name { names.append(name) }
            if let name, let node { nodes.append((name, node)) }
        }
        let order = order(settings, names)
        guard let shares = shares(settings, names, total), nodes.count == sections.count, !nodes.isEmpty else { return nil }
        let parts = order.compactMap { name in
            nodes.first { $0.name == name }.map { CompositeLimiter.Part(name: name, node: $0.node, spansPerSecond: shares[name] ?? 0) }
        }
        compiled.limiters.append(.composite(CompositeLimiter(parts: parts, maxSpansPerSecond: total)))
        return .limiter(compiled.limiters.count - 1)
    }

    /// `policy_order`; those that it does not name come after, as they are written.
    private func order(_ settings: ConfigSection, _ names: [String]) -> [String] {
        var order: [String] = []
        for name in settings.strings("policy_order", default: []) {
            if !names.contains(name) {
                settings.problem("there is no sub-policy '\(name)'", at: "policy_order")
            } else if order.contains(name) {
                settings.problem("'\(name)' is named twice", at: "policy_order")
            } else {
                order.append(name)
            }
        }
        return order + names.filter { !order.contains($0) }
    }

    /// Spans per second of each sub-policy; what `rate_allocation` leaves is shared by those that it does not name.
    private func shares(_ settings: ConfigSection, _ names: [String], _ total: Int) -> [String: Int]? {
        var percents: [String: Double] = [:]
        var isWhole = true
        for allocation in settings.sections("rate_allocation") {
            let percent = allocation.double("percent", default: 0, in: 0...100)
            guard let name = allocation.requiredString("policy") else { continue }
            if !names.contains(name) {
                allocation.problem("there is no sub-policy '\(name)'", at: "policy")
                isWhole = false
            } else if percents[name] != nil {
                allocation.problem("'\(name)' has a share already", at: "policy")
                isWhole = false
            } else if percent > 0 {
                percents[name] = percent
            }
        }
        let allocated = percents.values.reduce(0, +)
        if allocated > 100 + 1e-9 {
            settings.problem("the shares add up to \(allocated) %; they can be 100 % at most", at: "rate_allocation")
            isWhole = false
        }
        guard isWhole else { return nil }
        let rest = names.filter { percents[$0] == nil }
        for name in rest { percents[name] = max(100 - allocated, 0) / Double(rest.count) }
        let shares = percents.mapValues { Int($0 / 100 * Double(total)) }
        for name in names where shares[name] ?? 0 < 1 {
            settings.problem("nothing is left for '\(name)': its share is below one span per second", at: "rate_allocation")
            isWhole = false
        }
        return isWhole ? shares : nil
    }
}
