import OTLPWire

/// A condition in the part of the OpenTelemetry Transformation Language that samplers and filters use: paths, literals,
/// arithmetic, comparisons, `and` `or` `not`, and the functions of `OTTLParser`.
///
/// Grammar and meaning follow the contrib's package `ottl`; numbers of different kinds compare by value, values of kinds that
/// cannot be compared are unequal.
public struct OTTLCondition: Sendable {
    private let test: OTTLTest

    /// - Parameter onEvents: bare names (`name`, `attributes[...]`) are a span event's, and the span's begin with `span.`.
    public init(_ text: String, onEvents: Bool) throws(OTTLError) {
        test = try OTTLParser.parse(text, inEvent: onEvents)
    }

    public func holds(for span: SpanView) throws(OTTLFailure) -> Bool {
        try test.holds(OTTLSubject(span: span, event: nil, eventIndex: 0))
    }

    public func holds(for event: EventView, at index: Int, of span: SpanView) throws(OTTLFailure) -> Bool {
        try test.holds(OTTLSubject(span: span, event: event, eventIndex: index))
    }
}
