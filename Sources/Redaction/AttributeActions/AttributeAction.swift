import OTLPWire
import Patterns

/// One step of `attributes` and `resource`, with the meaning it has in the Go collector's processors of these names.
struct AttributeAction: Sendable {
    /// What the user writes.
    enum Name: String, CaseIterable {
        case insert, update, upsert, delete, hash, extract, convert

        /// Needs `value`, `from_attribute` or `default_value`.
        var takesValue: Bool { self == .insert || self == .update || self == .upsert }
    }

    /// Where a new value comes from.
    enum Source: Sendable {
        /// An encoded `AnyValue`.
        case value(StableBytes)
        /// Another attribute's value, or else the encoded default; without one nothing is done.
        case attribute(StableBytes, default: StableBytes?)
    }

    /// Which attributes are meant: those with the key, and those whose key the pattern finds.
    struct Selection: Sendable {
        let key: StableBytes?
        let pattern: Pattern?
    }

    enum Step: Sendable {
        /// Adds the attribute where there is none.
        case insert(StableBytes, Source)
        /// Changes the attribute where there is one.
        case update(StableBytes, Source)
        case upsert(StableBytes, Source)
        case delete(Selection)
        /// The lower-case hexadecimal SHA-256 of the value.
        case hash(Selection)
        /// The pattern's groups, by number, become attributes of the names given.
        case extract(StableBytes, Pattern, names: [StableBytes])
        case convert(StableBytes, ConvertedType)

        /// The attribute without which this step does nothing to attributes as they came; nil when there is no such one.
        var neededKey: StableBytes? {
            switch self {
            case .insert(_, .value), .upsert(_, .value): nil
            case .insert(_, .attribute(let source, let fallback)), .upsert(_, .attribute(let source, let fallback)):
                fallback == nil ? source : nil
            case .update(let key, _), .extract(let key, _, _), .convert(let key, _): key
            case .delete(let selection), .hash(let selection): selection.pattern == nil ? selection.key : nil
            }
        }
    }

    let step: Step
}
