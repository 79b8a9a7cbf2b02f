/// Checks, once and at the door, what stays encoded: attributes, events, links, status, resource and scope.
/// After it every view reads without errors, and no value nests deeper than `nestingMax`.
struct NestedValidator {
    /// Levels of AnyValue inside AnyValue (arrays and key-value lists); protobuf libraries stop at about 100.
    static let nestingMax = 64

    /// Wire types of a message's known fields, and which one holds key-values: a word, so that checking a field is a shift and
    /// a comparison.
    struct Shape {
        /// 0: none.
        private(set) var attributes: UInt32 = 0
        /// Four bits for each of the first 16 field numbers: the wire type + 1, or 0 for unknown fields, which may be anything.
        private var wireTypes: UInt64 = 0

        @inline(__always)
        private func with(_ type: WireReader.WireType, _ fields: UInt32...) -> Shape {
            var shape = self
            for field in fields { shape.wireTypes |= UInt64(type.rawValue + 1) << (4 * UInt64(field)) }
            return shape
        }

        @inline(__always)
        private func with(attributes field: UInt32) -> Shape {
            var shape = with(.lengthDelimited, field)
            shape.attributes = field
            return shape
        }

        @inline(__always)
        func allows(_ field: WireReader.Field) -> Bool {
            guard field.number < 16 else { return true }
            let expected = UInt8(truncatingIfNeeded: wireTypes >> (4 * UInt64(field.number))) & 0xF
            return expected == 0 || expected == field.type.rawValue + 1
        }

        static let resource = Shape().with(attributes: OTLPField.Resource.attributes)
            .with(.varint, OTLPField.Resource.droppedAttributesCount).with(.lengthDelimited, OTLPField.Resource.entityRefs)
        static let scope = Shape().with(attributes: OTLPField.Scope.attributes)
            .with(.lengthDelimited, OTLPField.Scope.name, OTLPField.Scope.version).with(.varint, OTLPField.Scope.droppedAttributesCount)
        static let event = Shape().with(attributes: OTLPField.Event.attributes).with(.fixed64, OTLPField.Event.timeUnixNano)
            .with(.lengthDelimited, OTLPField.Event.name).with(.varint, OTLPField.Event.droppedAttributesCount)
        static let link = Shape().with(attributes: OTLPField.Link.attributes)
            .with(.lengthDelimited, OTLPField.Link.traceID, OTLPField.Link.spanID, OTLPField.Link.traceState)
            .with(.varint, OTLPField.Link.droppedAttributesCount).with(.fixed32, OTLPField.Link.flags)
        static let status = Shape().with(.lengthDelimited, OTLPField.Status.message).with(.varint, OTLPField.Status.code)
    }

    /// A message of the given shape, with the key-values in it.
    static func message(_ bytes: WireBytes, _ shape: Shape) throws(WireError) {
        var reader = WireReader(bytes)
        while let field = try reader.next() {
            guard shape.allows(field) else { throw .wrongWireType }
            if field.number == shape.attributes { try keyValue(field.bytes, depth: 0) }
        }
    }

    /// A KeyValue inside `depth` arrays and key-value lists.
    @inline(__always)
    static func keyValue(_ bytes: WireBytes, depth: Int) throws(WireError) {
        if isPlain(bytes) { return }
        try anyKeyValue(bytes, depth: depth)
    }

    /// Whether `bytes` are a KeyValue as nearly all are: key, then value, each shorter than 128 bytes, and the value a single
    /// string, boolean, small integer or double. Spares most attributes the general way, which accepts all of these too.
    @inline(__always)
    static func isPlain(_ bytes: WireBytes) -> Bool {
        guard let start = bytes.baseAddress, bytes.count >= 6 else { return false }
        let keyLength = Int(start.load(fromByteOffset: 1, as: UInt8.self))
        // Key, its header, the value's header, and at least two bytes of value.
        guard start.load(as: UInt8.self) == 0x0A, keyLength < 0x80, keyLength &+ 6 <= bytes.count else { return false }
        let value = start + keyLength + 2
        let valueLength = Int(value.load(fromByteOffset: 1, as: UInt8.self))
        guard value.load(as: UInt8.self) == 0x12, valueLength < 0x80, keyLength &+ valueLength &+ 4 == bytes.count else { return false }
        let second = Int(value.load(fromByteOffset: 3, as: UInt8.self))
        switch value.load(fromByteOffset: 2, as: UInt8.self) {
        case 0x0A: return second < 0x80 && second &+ 2 == valueLength
        case 0x10, 0x18: return second < 0x80 && valueLength == 2
        case 0x21: return valueLength == 9
        default: return false
        }
    }

    private static func anyKeyValue(_ bytes: WireBytes, depth: Int) throws(WireError) {
        var reader = WireReader(bytes)
        while let field = try reader.next() {
            switch field.number {
            case OTLPField.KeyValue.key:
                guard field.type == .lengthDelimited else { throw .wrongWireType }
            case OTLPField.KeyValue.value:
                guard field.type == .lengthDelimited else { throw .wrongWireType }
                try anyValue(field.bytes, depth: depth)
            default: break
            }
        }
    }

    private static func anyValue(_ bytes: WireBytes, depth: Int) throws(WireError) {
        var reader = WireReader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.type) {
            case (OTLPField.AnyValue.string, .lengthDelimited), (OTLPField.AnyValue.bytes, .lengthDelimited),
                (OTLPField.AnyValue.bool, .varint), (OTLPField.AnyValue.int, .varint), (OTLPField.AnyValue.double, .fixed64):
                break
            case (OTLPField.AnyValue.array, .lengthDelimited):
                try elements(field.bytes, depth: depth + 1, isKeyValueList: false)
            case (OTLPField.AnyValue.kvlist, .lengthDelimited):
                try elements(field.bytes, depth: depth + 1, isKeyValueList: true)
            case (1...7, _):
                throw .wrongWireType
            default:
                break
            }
        }
    }

    private static func elements(_ bytes: WireBytes, depth: Int, isKeyValueList: Bool) throws(WireError) {
        guard depth <= nestingMax else { throw .nestedTooDeep }
        var reader = WireReader(bytes)
        while let field = try reader.next() {
            guard field.number == OTLPField.ArrayValue.values else { continue }
            guard field.type == .lengthDelimited else { throw .wrongWireType }
            if isKeyValueList {
                try keyValue(field.bytes, depth: depth)
            } else {
                try anyValue(field.bytes, depth: depth)
            }
        }
    }
}
