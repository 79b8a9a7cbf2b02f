/// Checks, once and at the door, what stays encoded: attributes, events, links, status, resource and scope.
/// After it every view reads without errors, and no value nests deeper than `nestingMax`.
struct NestedValidator {
    /// Levels of AnyValue inside AnyValue (arrays and key-value lists); protobuf libraries stop at about 100.
    static let nestingMax = 64

    /// A message that holds key-values in the field `attributes` (0: in none).
    static func message(_ bytes: WireBytes, attributes: UInt32) throws(WireError) {
        var reader = WireReader(bytes)
        while let field = try reader.next() {
            guard field.number == attributes else { continue }
            guard field.type == .lengthDelimited else { throw .wrongWireType }
            try keyValue(field.bytes, depth: 0)
        }
    }

    /// A KeyValue inside `depth` arrays and key-value lists.
    static func keyValue(_ bytes: WireBytes, depth: Int) throws(WireError) {
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
