import OTLPWire

/// A condition in the part of the OpenTelemetry Transformation Language that samplers and filters use: paths, literals,
/// arithmetic, comparisons, `and` `or` `not`, and the functions of `OTTLParser`.
///
/// Grammar and meaning follow the contrib's package `ottl`; numbers of different kinds compare by value, values of kinds that
/// cannot be compared are unequal.
public struct OTTLCondition: Sendable {
    private let test: OTTLTest
    public let context: OTTLContext

    /// - Parameter context: whose the bare names are; nil where each path says that itself, and the innermost one is the context.
    public init(_ text: String, context: OTTLContext?) throws(OTTLError) {
        let tokens = try OTTLLexer.tokens(of: text)
        self.context = context ?? OTTLContext.inferred(from: tokens)
        test = try OTTLParser.parse(tokens, context: self.context, takesBareNames: context != nil)
    }

    /// - Parameter onEvents: bare names (`name`, `attributes[...]`) are a span event's, and the span's begin with `span.`.
    public init(_ text: String, onEvents: Bool) throws(OTTLError) {
        try self.init(text, context: onEvents ? .spanEvent : .span)
    }

    /// For a condition on spans, or on the resource or scope of one.
    public func holds(for span: SpanView) throws(OTTLFailure) -> Bool {
        try test.holds(OTTLSubject(span: span, event: nil, eventIndex: 0))
    }

    public func holds(for event: EventView, at index: Int, of span: SpanView) throws(OTTLFailure) -> Bool {
        try test.holds(OTTLSubject(span: span, event: event, eventIndex: index))
    }
}
