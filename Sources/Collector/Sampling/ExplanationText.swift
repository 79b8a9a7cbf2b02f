import OTLPWire
import Sampling
import SelfTelemetry

/// A trace's explanation as text for people, or as a line of JSON. What comes from spans is quoted where it stands alone, so that no
/// name can drive a terminal.
enum ExplanationText {
    static func text(_ trace: TraceExplanation) -> String {
        var facts = ["\(trace.spanCount) spans", "\(trace.durationMilliseconds) ms"]
        if trace.costUSD > 0 { facts.append("$\(trace.costUSD)") }
        if trace.totalTokens > 0 { facts.append("\(trace.totalTokens) tokens") }
        var out = "trace \(hex(trace.traceID)): \(facts.joined(separator: ", "))\n"
        let width = trace.policies.map(\.name.count).max() ?? 0
        for policy in trace.policies {
            let name = printable(policy.name)
            let head = "  \(policy.isDrop ? "drop" : "keep")  \(name)\(String(repeating: " ", count: max(width - name.count, 0)))  "
            let reasons = policy.reasons.map(printable)
            out += head + (policy.holds ? "yes  " : "no   ") + (reasons.first ?? "") + "\n"
            let indent = String(repeating: " ", count: head.count + 5)
            for reason in reasons.dropFirst() { out += indent + reason + "\n" }
        }
        return out + "  => " + decision(trace) + "\n"
    }

    private static func decision(_ trace: TraceExplanation) -> String {
        let time = trace.isEarly ? ", without waiting" : ""
        guard trace.isKept else {
            return "dropped\(trace.policy.map { " by \(printable($0))" } ?? ": no policy keeps it")\(time)"
        }
        return "kept by \(printable(trace.policy ?? "")), adjusted count \(trace.adjustedCount)\(time)"
    }

    static func json(_ trace: TraceExplanation) -> String {
        let policies = trace.policies.map { policy in
            let reasons = policy.reasons.map(JSONText.quoted).joined(separator: ",")
            return #"{"name":\#(JSONText.quoted(policy.name)),"drops":\#(policy.isDrop),"holds":\#(policy.holds),"reasons":[\#(reasons)]}"#
        }
        return #"{"traceId":"\#(hex(trace.traceID))","spans":\#(trace.spanCount),"durationMs":\#(trace.durationMilliseconds),"#
            + #""costUsd":\#(trace.costUSD),"totalTokens":\#(trace.totalTokens),"kept":\#(trace.isKept),"#
            + #""policy":\#(trace.policy.map(JSONText.quoted) ?? "null"),"adjustedCount":\#(trace.adjustedCount),"#
            + #""early":\#(trace.isEarly),"policies":[\#(policies.joined(separator: ","))]}"# + "\n"
    }

    /// Control characters as JSON escapes them.
    private static func printable(_ text: String) -> String {
        let quoted = JSONText.quoted(text)
        return quoted.utf8.count == text.utf8.count + 2 + text.utf8.count(where: { $0 == UInt8(ascii: "\"") }) ? text : quoted
    }

    private static func hex(_ id: TraceID) -> String {
        [id.high, id.low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
