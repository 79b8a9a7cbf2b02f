import OTLPWire

/// One value that was rewritten, for people who write rules.
public struct RedactionFinding: Sendable, Equatable {
    public enum Subject: Sendable, Equatable {
        /// Index among the request's valid spans.
        case span(Int)
        /// Number of the resource in its request, from 0.
        case resource(Int)
    }

    public var subject: Subject
    /// As `fields` of the configuration spells it, with `[2]` and `.key` for what is nested in it: `span.attributes.tags[2]`.
    public var path: String
    /// Index of the event that it is in.
    public var event: Int?
    /// Name of the detector; `field` for what was named.
    public var kind: String
    public var strategy: Strategy
    /// Where in the text it stood, in bytes; nil when it was the whole text.
    public var offset: Int?
    public var before: String
    /// What stands there now.
    public var after: String
}

/// Takes down what a redactor does, and where.
final class RedactionObserver {
    private(set) var findings: [RedactionFinding] = []
    private var spanCount = 0
    private var resourceCount = 0
    private var subject = RedactionFinding.Subject.span(0)
    private var event: Int?
    private var prefix: StaticString = ""
    /// Of the containers around the value at hand.
    private var steps: [String] = []

    func beginSpan() {
        subject = .span(spanCount)
        spanCount += 1
    }

    func beginResource() {
        subject = .resource(resourceCount)
        resourceCount += 1
    }

    /// What is found from now on stands at `prefix`, under its name where it has one.
    func begin(_ prefix: StaticString, event: Int? = nil) {
        self.prefix = prefix
        self.event = event
    }

    func enter(_ key: WireBytes) { steps.append("." + String(decoding: key, as: UTF8.self)) }

    func enter(index: Int) { steps.append("[\(index)]") }

    func leave() { steps.removeLast() }

    func note(name: WireBytes, kind: String, strategy: Strategy, place: Range<Int>, in text: WireBytes, after: WireBytes) {
        var path = "\(prefix)" + steps.joined()
        if steps.isEmpty, !name.isEmpty { path += "." + String(decoding: name, as: UTF8.self) }
        findings.append(
            RedactionFinding(
                subject: subject, path: path, event: event, kind: kind, strategy: strategy,
                offset: place == 0..<text.count ? nil : place.lowerBound,
                before: String(decoding: WireBytes(rebasing: text[place]), as: UTF8.self), after: String(decoding: after, as: UTF8.self)))
    }
}
