import OTLPWire
import Patterns

/// A text to be found: `match_type` strict compares, regexp searches.
enum TextMatch: Sendable {
    case strict([UInt8])
    case pattern(Pattern)

    func matches(_ text: WireBytes) -> Bool {
        switch self {
        case .strict(let expected): text.elementsEqual(expected)
        case .pattern(let pattern): pattern.matches(text)
        }
    }
}

/// An attribute that must be there.
struct AttributeMatch: Sendable {
    enum Expected: Sendable {
        /// Any value.
        case anything
        case bool(Bool)
        /// Also as the same number in floating point.
        case number(Double, Int64?)
        case text([UInt8])
        /// Found in the value as text (`OutputBuffer.appendText(of:)`).
        case pattern(Pattern)
    }

    let key: StableBytes
    let expected: Expected

    func matches(_ attributes: AttributesView, _ scratch: inout OutputBuffer) -> Bool {
        for attribute in attributes where attribute.key.equals(key.bytes) { return matches(attribute.value, &scratch) }
        return false
    }

    private func matches(_ value: AnyValueView, _ scratch: inout OutputBuffer) -> Bool {
        switch (expected, value) {
        case (.anything, _): true
        case (.bool(let expected), .bool(let flag)): expected == flag
        case (.number(let expected, let whole), .int(let number)): whole.map { $0 == number } ?? (expected == Double(number))
        case (.number(let expected, _), .double(let number)): expected == number
        case (.text(let expected), .string(let text)): text.elementsEqual(expected)
        case (.pattern(let pattern), .string(let text)): pattern.matches(text)
        case (.pattern, .absent): false
        case (.pattern(let pattern), _): found(pattern, in: value, &scratch)
        case (.bool, _), (.number, _), (.text, _): false
        }
    }

    private func found(_ pattern: Pattern, in value: AnyValueView, _ scratch: inout OutputBuffer) -> Bool {
        scratch.truncate(to: 0)
        scratch.appendText(of: value)
        return scratch.withBytes { pattern.matches($0) }
    }
}

/// `include` or `exclude`: spans of which every kind of property that is listed matches.
struct SpanMatch: Sendable {
    struct Library: Sendable {
        let name: TextMatch
        /// Nil: any version.
        let version: TextMatch?
    }

    /// One of each of these must match, where there are any; a resource without `service.name` matches no service.
    var services: [TextMatch] = []
    var spanNames: [TextMatch] = []
    /// A bit for each kind that matches; nil: any kind.
    var kinds: UInt8?
    var libraries: [Library] = []
    /// Of these every one must match.
    var attributes: [AttributeMatch] = []
    var resources: [AttributeMatch] = []

    /// `SpanKind` by number, under the names that the Go collector gives them.
    static let kindNames = [
        "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER",
    ]

    func matchesResource(_ resource: ResourceView, _ scratch: inout OutputBuffer) -> Bool {
        if !services.isEmpty {
            guard let value = resource.attributes.first("service.name") else { return false }
            scratch.truncate(to: 0)
            scratch.appendText(of: value)
            guard scratch.withBytes({ text in services.contains { $0.matches(text) } }) else { return false }
        }
        for attribute in resources where !attribute.matches(resource.attributes, &scratch) { return false }
        return true
    }

    func matchesScope(_ scope: ScopeView) -> Bool {
        libraries.isEmpty
            || libraries.contains { library in
                library.name.matches(scope.name) && (library.version.map { $0.matches(scope.version) } ?? true)
            }
    }

    func matchesSpan(_ span: SpanView, _ scratch: inout OutputBuffer) -> Bool {
        if let kinds {
            guard SpanMatch.kindNames.indices.contains(Int(span.kind)), kinds >> UInt8(span.kind) & 1 == 1 else { return false }
        }
        if !spanNames.isEmpty, !spanNames.contains(where: { $0.matches(span.name) }) { return false }
        for attribute in attributes where !attribute.matches(span.attributes, &scratch) { return false }
        return true
    }
}

/// Decides for each span whether it is to be changed. Used by one thread at a time; remembers the last resource and scope.
struct SpanFilter: ~Copyable {
    private let include: SpanMatch?
    private let exclude: SpanMatch?
    private var scratch = OutputBuffer()
    private var resource: UnsafeRawPointer?
    private var included = (resource: true, scope: true)
    private var excluded = (resource: true, scope: true)
    private var scope: UnsafeRawPointer?

    init(include: SpanMatch?, exclude: SpanMatch?) {
        self.include = include
        self.exclude = exclude
    }

    /// Before another batch: its resources may lie where those of the last one lay.
    mutating func reset() {
        resource = nil
        scope = nil
        scratch.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
    }

    @inline(__always)
    mutating func selects(_ span: SpanView) -> Bool {
        if include == nil, exclude == nil { return true }
        return decide(span)
    }

    private mutating func decide(_ span: SpanView) -> Bool {
        look(at: span)
        if let include {
            guard included.resource, included.scope, include.matchesSpan(span, &scratch) else { return false }
        }
        if let exclude, excluded.resource, excluded.scope, exclude.matchesSpan(span, &scratch) { return false }
        return true
    }

    /// Resource and scope are judged once for all their spans in a row.
    private mutating func look(at span: SpanView) {
        let resource = span.resource
        if resource.identity != self.resource {
            self.resource = resource.identity
            if let include { included.resource = include.matchesResource(resource, &scratch) }
            if let exclude { excluded.resource = exclude.matchesResource(resource, &scratch) }
        }
        guard include?.libraries.isEmpty == false || exclude?.libraries.isEmpty == false, span.scopeIdentity != scope else { return }
        scope = span.scopeIdentity
        let view = span.scope
        if let include { included.scope = include.matchesScope(view) }
        if let exclude { excluded.scope = exclude.matchesScope(view) }
    }
}
