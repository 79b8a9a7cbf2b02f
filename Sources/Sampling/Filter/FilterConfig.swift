import Configuration

/// `processors.filter`: the contrib's keys for traces. What a condition holds for is dropped.
public struct FilterConfig: Sendable {
    /// What becomes of a condition that cannot be evaluated for a span.
    public enum ErrorMode: String, CaseIterable, Sendable {
        /// It does not hold, and a line in the log says so.
        case ignore
        /// It does not hold.
        case silent
        /// The whole request is refused for good.
        case propagate
    }

    /// Conditions of which one is enough.
    struct Group: Sendable {
        let context: OTTLContext
        let errorMode: ErrorMode
        let conditions: [OTTLCondition]
    }

    /// From the outside to the inside: resources, scopes, spans, events.
    private(set) var groups: [Group] = []

    /// Whether span events are removed, which changes the spans.
    public var editsEvents: Bool { groups.contains { $0.context == .spanEvent } }

    private static let legacyKey = "spans"
    private static let otherSignals = ["metrics", "logs", "profiles", "metric_conditions", "log_conditions", "profile_conditions"]

    public init(from section: ConfigSection) {
        let errorMode = section.choice("error_mode", default: ErrorMode.ignore)
        var (older, newer) = (0, 0)
        if let traces = section.section("traces") {
            for context in [OTTLContext.resource, .span, .spanEvent] {
                older += add(traces, context.rawValue, context, errorMode)
            }
        }
        if section.hasSections("trace_conditions") {
            for group in section.sections("trace_conditions") {
                let context = group.has("context") ? group.choice("context", default: OTTLContext.span) : nil
                newer += add(group, "conditions", context, group.choice("error_mode", default: errorMode))
            }
        } else {
            newer = add(section, "trace_conditions", nil, errorMode)
        }
        if older > 0, newer > 0 {
            section.problem("cannot be used together with traces; move its conditions here", at: "trace_conditions")
        }
        if older == 0, newer == 0, !section.has(Self.legacyKey) {
            section.problem("a condition is needed, under traces.span, traces.spanevent, traces.resource or trace_conditions")
        }
        checkKeys(section)
        groups.sort { $0.context < $1.context }
        section.finish()
    }

    private func checkKeys(_ section: ConfigSection) {
        if section.has(Self.legacyKey) {
            section.problem(
                "include and exclude are not there any more; write conditions for what to drop, such as 'name == \"health\"', "
                    + "under traces.span",
                at: Self.legacyKey)
        }
        for key in Self.otherSignals where section.has(key) {
            section.problem("is not for traces, and this collector takes nothing else", at: key)
        }
    }

    /// Adds the conditions of a list.
    ///
    /// - Parameter context: nil where each path says whose it is.
    /// - Returns: how many are written, wrong ones included.
    private mutating func add(_ section: ConfigSection, _ key: String, _ context: OTTLContext?, _ errorMode: ErrorMode) -> Int {
        let texts = section.listedTexts(key)
        var found: [OTTLContext: [OTTLCondition]] = [:]
        for text in texts {
            do throws(OTTLError) {
                let condition = try OTTLCondition(text.text, context: context)
                found[condition.context, default: []].append(condition)
            } catch {
                section.problem(error.description, at: text)
            }
        }
        for (context, conditions) in found {
            groups.append(Group(context: context, errorMode: errorMode, conditions: conditions))
        }
        return texts.count
    }
}
