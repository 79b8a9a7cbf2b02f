/// Attributes written for `BatchEditor`.
extension OutputBuffer {
    /// A `KeyValue` with a string as field `field` of the message being written.
    public mutating func appendAttribute(_ field: UInt32, key: WireBytes, string: WireBytes) {
        appendAttribute(field, key: key) { $0.appendField(OTLPField.AnyValue.string, bytes: string) }
    }

    /// A `KeyValue` with a whole number.
    public mutating func appendAttribute(_ field: UInt32, key: WireBytes, int: Int64) {
        appendAttribute(field, key: key) { $0.appendAnyValue(int: int) }
    }

    /// A `KeyValue` with a number.
    public mutating func appendAttribute(_ field: UInt32, key: WireBytes, double: Double) {
        appendAttribute(field, key: key) { $0.appendAnyValue(double: double) }
    }

    /// A `KeyValue` with a truth value.
    public mutating func appendAttribute(_ field: UInt32, key: WireBytes, bool: Bool) {
        appendAttribute(field, key: key) { $0.appendAnyValue(bool: bool) }
    }

    /// The inside of an `AnyValue`: a whole number.
    public mutating func appendAnyValue(int: Int64) {
        appendField(OTLPField.AnyValue.int, varint: UInt64(bitPattern: int))
    }

    /// The inside of an `AnyValue`: a number.
    public mutating func appendAnyValue(double: Double) {
        appendTag(OTLPField.AnyValue.double, .fixed64)
        appendLittleEndian(double.bitPattern)
    }

    /// The inside of an `AnyValue`: a truth value.
    public mutating func appendAnyValue(bool: Bool) {
        appendField(OTLPField.AnyValue.bool, varint: bool ? 1 : 0)
    }

    /// A `KeyValue` with a list of strings.
    public mutating func appendAttribute(_ field: UInt32, key: WireBytes, strings: [String]) {
        appendAttribute(field, key: key) { output in
            output.appendMessage(OTLPField.AnyValue.array) { list in
                for text in strings {
                    list.appendMessage(OTLPField.ArrayValue.values) { value in
                        var copy = text
                        copy.withUTF8 { value.appendField(OTLPField.AnyValue.string, bytes: WireBytes($0)) }
                    }
                }
            }
        }
    }

    /// A `KeyValue` whose `AnyValue` is what `value` writes.
    public mutating func appendAttribute(_ field: UInt32, key: WireBytes, value: (inout OutputBuffer) -> Void) {
        appendMessage(field) {
            $0.appendField(OTLPField.KeyValue.key, bytes: key)
            $0.appendMessage(OTLPField.KeyValue.value, value)
        }
    }

    /// A length-delimited field that `body` writes the inside of.
    public mutating func appendMessage(_ field: UInt32, _ body: (inout OutputBuffer) -> Void) {
        appendTag(field, .lengthDelimited)
        let message = openMessage(expectedBytes: 0)
        body(&self)
        closeMessage(message)
    }

    /// A length-delimited field.
    public mutating func appendBytesField(_ field: UInt32, _ bytes: WireBytes) {
        appendField(field, bytes: bytes)
    }
}

/// The fields of an encoded message with their bytes, tags included: to keep some as they are and write others anew.
public struct EncodedFields: Sequence, IteratorProtocol {
    private var reader: WireReader

    public init(_ message: WireBytes) {
        reader = WireReader(message)
    }

    @inline(__always)
    public mutating func next() -> (field: WireReader.Field, encoded: WireBytes)? {
        let start = reader.position
        guard let field = try? reader.next() else { return nil }
        return (field, WireBytes(start: start, count: reader.position - start))
    }
}

extension KeyValueView {
    /// The encoded `AnyValue`.
    public var encoded: WireBytes { encodedValue }

    /// Reads an encoded `KeyValue`.
    @inline(__always)
    public init(encoded: WireBytes) {
        self.init(encoded)
    }
}
