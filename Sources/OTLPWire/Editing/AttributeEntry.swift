/// One field of a message with attributes, where it stands: what a list of attributes that is being changed is made of.
public struct AttributeEntry: BitwiseCopyable {
    public enum State: UInt8, Sendable, BitwiseCopyable {
        /// As it came.
        case kept
        case changed
        case removed
        /// A field of the message that is no attribute.
        case other
    }

    public let key: WireBytes
    /// The encoded `AnyValue`.
    public var value: WireBytes
    /// The whole field with its tag, as it came; empty for an attribute that was added.
    public let encoded: WireBytes
    public var state: State

    public init(key: WireBytes, value: WireBytes, encoded: WireBytes, state: State) {
        self.key = key
        self.value = value
        self.encoded = encoded
        self.state = state
    }

    /// Appends an entry for each field of `message`, whose fields number `field` are the attributes.
    public static func append(_ message: WireBytes, field: UInt32, to entries: inout [AttributeEntry]) {
        var fields = EncodedFields(message)
        while let (entry, encoded) = fields.next() {
            if entry.number == field, entry.type == .lengthDelimited {
                let attribute = KeyValueView(entry.bytes)
                entries.append(AttributeEntry(key: attribute.key, value: attribute.encodedValue, encoded: encoded, state: .kept))
            } else {
                let nothing = WireBytes(start: nil, count: 0)
                entries.append(AttributeEntry(key: nothing, value: nothing, encoded: encoded, state: .other))
            }
        }
    }
}

/// Keys to look for before anything else is done with a message's attributes.
public struct AttributeKeys: Sendable {
    private let keys: [[UInt8]]
    /// A bit for each length, modulo 64, that a key has: spares most attributes the comparison.
    private let lengths: UInt64

    public init(_ keys: [[UInt8]]) {
        self.keys = keys
        lengths = keys.reduce(0) { $0 | 1 << UInt64($1.count & 63) }
    }

    /// Whether some attribute of `message`, a field number `field`, has one of the keys.
    public func isAny(in message: WireBytes, field: UInt32) -> Bool {
        for attribute in AttributesView(message: message, field: field) where lengths >> UInt64(attribute.key.count & 63) & 1 == 1 {
            for key in keys where key.elementsEqual(attribute.key) { return true }
        }
        return false
    }
}
