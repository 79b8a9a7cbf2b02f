/// OTLP/JSON to OTLP protobuf, so that JSON takes the same path as everything else: one decoder, one log format.
///
/// simdjson checks the text and lays it out as a tape; one walk along the tape and the schema table writes the protobuf.
/// Rules: OTLP 1.11 "JSON Protobuf Encoding" and protobuf's ProtoJSON. Unknown fields are ignored, null is absent, ids are
/// hexadecimal in any case, enums are integers only, 64-bit integers are numbers or strings, bytes are base64 of either
/// alphabet; both lowerCamelCase and the original names are read. Of a repeated key the last value counts, lists are joined.
/// Lone surrogates and invalid UTF-8 become U+FFFD rather than errors, as they do in protobuf strings.
///
/// Keeps its buffers between documents, up to `retainedBytesMax`. Not thread-safe: one per event loop.
public final class JSONTranscoder {
    /// Documents above this many bytes are refused. A hostile document makes the parser use `workingBytesPerDocumentByte` times
    /// its size for the duration of the call; real ones take about 4 times.
    public let documentBytesMax: Int
    /// Structural indexes 4, tape 8 (both per character in the worst case), strings and copy 3.
    public static let workingBytesPerDocumentByte = 15
    /// Default of `documentBytesMax`: that of the protobuf message limit.
    public static let documentBytesMaxDefault = 64 * 1024 * 1024

    /// Documents up to this are assumed to be as bad as can be: counting would cost more than it spares.
    private static let countedBytesMin = 1024 * 1024

    private var parser: JSONParser

    /// - Parameter retainedBytesMax: parser's memory kept between documents.
    public init(
        documentBytesMax: Int = JSONTranscoder.documentBytesMaxDefault, retainedBytesMax: Int = 4 * 1024 * 1024
    ) {
        parser = JSONParser(retainedBytesMax: retainedBytesMax)
        // The protobuf is never longer than its JSON, and its longest message must have a length of four bytes.
        self.documentBytesMax = min(documentBytesMax, OutputBuffer.paddedLengthMax)
    }

    /// At most so many bytes does the parser use for this document, and the protobuf it becomes.
    ///
    /// Each of `{}[]:,` is a token and ends at most one other: eight bytes of structural indexes, three words on the tape.
    public static func workingBytes(for json: WireBytes) -> Int {
        let worst = (workingBytesPerDocumentByte + 1) * json.count
        guard json.count > countedBytesMin else { return worst }
        var tokens = 1
        for byte in json {
            // Branch-free, so that it is vectorised. Brackets and braces differ in bit 5.
            let bracket = byte | 0x20
            tokens &+= bracket == 0x7B || bracket == 0x7D || byte == 0x2C || byte == 0x3A ? 1 : 0
        }
        return min(worst, tokens * 32 + json.count * 4)
    }

    /// Appends the `ExportTraceServiceRequest` that `json` spells, as protobuf; nothing is appended on an error.
    ///
    /// The lengths of `ResourceSpans` and `ScopeSpans` with many spans are written in four bytes, padded where fewer would do.
    public func transcodeTraces(_ json: WireBytes, into output: inout OutputBuffer) throws(JSONError) {
        guard json.count <= documentBytesMax else { throw JSONError(.tooLarge) }
        defer { parser.releaseExcess() }
        let start = output.count
        switch attempt(json, into: &output) {
        case .complete: return
        case .refused(let error):
            output.truncate(to: start)
            throw error
        case .unreadable:
            output.truncate(to: start)
            guard try attemptRepaired(json, into: &output) else { throw JSONError(.notJSON) }
        case .lostSignOfZero:
            guard JSONRepair.hasNegativeZero(json) else { return }
            let complete = output.count
            do {
                if try attemptRepaired(json, into: &output) { output.remove(start..<complete) }
            } catch {
                output.truncate(to: start)
                throw error
            }
        }
    }

    private enum Attempt {
        case complete
        /// All written, but simdjson reads "-0" as the integer 0, and a double was 0.
        case lostSignOfZero
        /// A string or a number that simdjson does not read, though it may be clear what was meant.
        case unreadable
        case refused(JSONError)
    }

    private func attempt(_ json: WireBytes, into output: inout OutputBuffer) -> Attempt {
        let tape: JSONTape
        do {
            tape = try parser.parse(json)
        } catch {
            switch error {
            case .notJSON: return .refused(JSONError(.notJSON))
            case .tooDeep: return .refused(JSONError(.nestedTooDeep))
            case .outOfMemory: return .refused(JSONError(.outOfMemory))
            case .textOrNumber: return .unreadable
            }
        }
        output.reserve(json.count)
        var walk = JSONWalk(tape: tape)
        do {
            try walk.message(.request, at: JSONTape.root, depth: 0, into: &output)
        } catch {
            return .refused(error)
        }
        return walk.sawZeroAsDouble ? .lostSignOfZero : .complete
    }

    /// Repairs the text, which is rare and may cost a second pass, and reads it again; false when there was nothing to repair.
    private func attemptRepaired(_ json: WireBytes, into output: inout OutputBuffer) throws(JSONError) -> Bool {
        var repaired = OutputBuffer(capacity: json.count + json.count / 8)
        guard JSONRepair.repair(json, into: &repaired) else { return false }
        let start = output.count
        switch repaired.withBytes({ attempt($0, into: &output) }) {
        case .complete, .lostSignOfZero: return true
        case .unreadable:
            output.truncate(to: start)
            throw JSONError(.notJSON)
        case .refused(let error):
            output.truncate(to: start)
            throw error
        }
    }
}

/// The walk along the tape of one document.
struct JSONWalk {
    private let tape: JSONTape
    private let schema = JSONSchema.shared
    /// Whether a double was written as the integer 0, perhaps with a sign that the tape does not keep.
    private(set) var sawZeroAsDouble = false

    init(tape: JSONTape) {
        self.tape = tape
    }

    /// Words on the tape from which on a message's length is padded instead of moving the message: some 10 KB.
    private static let paddedWordsMin = 2_048
    /// A message of fewer words on the tape than this is guessed to be shorter than 128 bytes.
    private static let shortWordsMax = 28

    /// Appends the fields of the object at `position`. `depth` counts the arrays and key-value lists around it.
    mutating func message(_ message: WireMessage, at position: Int, depth: Int, into output: inout OutputBuffer) throws(JSONError) {
        guard tape.kind(at: position) == .object else { throw JSONError(.expectedObject) }
        guard depth <= NestedValidator.nestingMax else { throw JSONError(.nestedTooDeep) }
        let end = tape.after(position) - 1
        let entries = schema.entries(of: message)
        var expected = 0
        // Field numbers seen: a default value that follows another one has to be written to override it.
        var seen: UInt32 = 0
        var key = position + 1
        while key < end {
            let value = key + 1
            let next = tape.after(value)
            if let index = entries.index(of: tape.string(at: key), expected: expected), tape.kind(at: value) != .null {
                expected = index + 1
                let entry = entries.entry(at: index)
                let bit = UInt32(1) << entry.pointee.field.number
                let writesDefault = entry.pointee.isOneof || seen & bit != 0
                seen |= bit
                if entry.pointee.field.isRepeated {
                    try elements(entry, at: value, depth: depth, into: &output)
                } else if case .message(let child) = entry.pointee.field.kind {
                    try nested(child, entry, at: value, index: nil, depth: depth, into: &output)
                } else {
                    try scalar(entry, at: value, writesDefault: writesDefault, into: &output)
                }
            }
            key = next
        }
    }

    private mutating func elements(
        _ entry: UnsafePointer<JSONSchema.Entry>, at position: Int, depth: Int, into output: inout OutputBuffer
    ) throws(JSONError) {
        guard tape.kind(at: position) == .array else { throw JSONError(.expectedArray).inside(entry.pointee.field.name, nil) }
        let end = tape.after(position) - 1
        var element = position + 1
        var index = 0
        while element < end {
            if case .message(let child) = entry.pointee.field.kind {
                if child == .anyValue, tape.kind(at: element) == .null {
                    // An absent value keeps its place in the array.
                    output.appendTag(entry.pointee.field.number, .lengthDelimited)
                    output.append(0)
                } else {
                    try nested(child, entry, at: element, index: index, depth: depth, into: &output)
                }
            } else {
                do {
                    try scalar(entry, at: element, writesDefault: true, into: &output)
                } catch {
                    throw JSONError(error.problem).inside(entry.pointee.field.name, index)
                }
            }
            element = tape.after(element)
            index += 1
        }
    }

    @inline(__always)
    private mutating func nested(
        _ child: WireMessage, _ entry: UnsafePointer<JSONSchema.Entry>, at position: Int, index: Int?, depth: Int,
        into output: inout OutputBuffer
    ) throws(JSONError) {
        output.appendTag(entry.pointee.field.number, .lengthDelimited)
        let words = tape.after(position) - position
        let isLarge = words >= Self.paddedWordsMin && (child == .resourceSpans || child == .scopeSpans)
        let open = isLarge ? output.openPaddedMessage() : output.openMessage(expectedBytes: words < Self.shortWordsMax ? 0 : 0x80)
        do {
            try message(child, at: position, depth: child.isValueContainer ? depth + 1 : depth, into: &output)
        } catch {
            throw error.inside(entry.pointee.field.name, index)
        }
        output.closeMessage(open)
    }

    private mutating func scalar(
        _ entry: UnsafePointer<JSONSchema.Entry>, at position: Int, writesDefault: Bool, into output: inout OutputBuffer
    ) throws(JSONError) {
        do {
            try value(entry.pointee.field.kind, entry.pointee.field.number, at: position, writesDefault: writesDefault, into: &output)
        } catch {
            throw error.inside(entry.pointee.field.name, nil)
        }
    }

    @inline(__always)
    private mutating func value(
        _ kind: JSONFieldKind, _ field: UInt32, at position: Int, writesDefault: Bool, into output: inout OutputBuffer
    ) throws(JSONError) {
        switch kind {
        case .string:
            let text = try string(at: position)
            if text.count > 0 || writesDefault { output.appendField(field, bytes: text) }
        case .id, .base64:
            let text = try string(at: position)
            if text.count > 0 || writesDefault { try decoded(text, isHex: kind == .id, field, into: &output) }
        case .bool:
            let kind = tape.kind(at: position)
            guard kind == .yes || kind == .no else { throw JSONError(.expectedBoolean) }
            if kind == .yes || writesDefault { output.appendField(field, varint: kind == .yes ? 1 : 0) }
        case .int64:
            let value = try signed(at: position)
            if value != 0 || writesDefault { output.appendField(field, varint: UInt64(bitPattern: value)) }
        case .enumeration:
            guard tape.kind(at: position) != .string else { throw JSONError(.expectedEnumNumber) }
            guard let value = Int32(exactly: try signed(at: position)) else { throw JSONError(.outOfRange) }
            if value != 0 || writesDefault { output.appendField(field, varint: UInt64(bitPattern: Int64(value))) }
        case .uint32, .fixed32:
            guard let value = UInt32(exactly: try unsigned(at: position)) else { throw JSONError(.outOfRange) }
            guard value != 0 || writesDefault else { return }
            output.appendTag(field, kind.wireType)
            if kind == .fixed32 { output.appendLittleEndian(value) } else { output.appendVarint(UInt64(value)) }
        case .fixed64:
            let value = try unsigned(at: position)
            guard value != 0 || writesDefault else { return }
            output.appendTag(field, .fixed64)
            output.appendLittleEndian(value)
        case .double:
            let bits = try double(at: position).bitPattern
            guard bits != 0 || writesDefault else { return }
            output.appendTag(field, .fixed64)
            output.appendLittleEndian(bits)
        case .message:
            preconditionFailure("messages are written by nested(_:)")
        }
    }

    private func decoded(_ text: WireBytes, isHex: Bool, _ field: UInt32, into output: inout OutputBuffer) throws(JSONError) {
        output.appendTag(field, .lengthDelimited)
        let open = output.openMessage(expectedBytes: isHex ? text.count / 2 : text.count / 4 * 3)
        if isHex {
            guard JSONScalars.appendHexDecoded(text, to: &output) else { throw JSONError(.expectedHex) }
        } else {
            guard JSONScalars.appendBase64Decoded(text, to: &output) else { throw JSONError(.expectedBase64) }
        }
        output.closeMessage(open)
    }

    @inline(__always)
    private func string(at position: Int) throws(JSONError) -> WireBytes {
        guard tape.isString(at: position) else { throw JSONError(.expectedString) }
        return tape.string(at: position)
    }

    /// An integer in a number or a string, or a number like 1e3 that is one.
    private func signed(at position: Int) throws(JSONError) -> Int64 {
        switch tape.kind(at: position) {
        case .int: return Int64(bitPattern: tape.number(at: position))
        case .uint: throw JSONError(.outOfRange)
        case .double:
            guard let value = Int64(exactly: Double(bitPattern: tape.number(at: position))) else { throw JSONError(.outOfRange) }
            return value
        case .string:
            guard let (isNegative, value) = JSONScalars.magnitude(tape.string(at: position)) else { throw JSONError(.expectedInteger) }
            if isNegative {
                guard value <= Int64.min.magnitude else { throw JSONError(.outOfRange) }
                return Int64(truncatingIfNeeded: 0 &- value)
            }
            guard let value = Int64(exactly: value) else { throw JSONError(.outOfRange) }
            return value
        default: throw JSONError(.expectedInteger)
        }
    }

    private func unsigned(at position: Int) throws(JSONError) -> UInt64 {
        switch tape.kind(at: position) {
        case .int:
            guard let value = UInt64(exactly: Int64(bitPattern: tape.number(at: position))) else { throw JSONError(.outOfRange) }
            return value
        case .uint: return tape.number(at: position)
        case .double:
            guard let value = UInt64(exactly: Double(bitPattern: tape.number(at: position))) else { throw JSONError(.outOfRange) }
            return value
        case .string:
            guard let (isNegative, value) = JSONScalars.magnitude(tape.string(at: position)) else { throw JSONError(.expectedInteger) }
            guard !isNegative || value == 0 else { throw JSONError(.outOfRange) }
            return value
        default: throw JSONError(.expectedInteger)
        }
    }

    private mutating func double(at position: Int) throws(JSONError) -> Double {
        switch tape.kind(at: position) {
        case .double: return Double(bitPattern: tape.number(at: position))
        case .int:
            let value = Int64(bitPattern: tape.number(at: position))
            if value == 0 { sawZeroAsDouble = true }
            return Double(value)
        case .uint: return Double(tape.number(at: position))
        case .string:
            guard let value = JSONScalars.double(tape.string(at: position)) else { throw JSONError(.expectedNumber) }
            return value
        default: throw JSONError(.expectedNumber)
        }
    }
}
