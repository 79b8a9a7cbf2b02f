/// Why text is not the JSON it looks like. Carries none of it.
public enum JSONScanError: Error, Equatable {
    case malformed
    case nestedTooDeep
}

/// Reads JSON (RFC 8259) that is already in memory, front to back, without building anything: for attributes that hold JSON
/// text, of which one or two members are wanted. Strict, linear, never recursive, bounded in depth; strings stay where they are.
///
/// The caller walks: `value()` gives a scalar or says that an object or array has begun; then `nextKey` or `nextElement` until
/// they say that it has ended, and after each of them `value()` or `skip()`. `finish()` refuses what follows the text.
public struct JSONScanner {
    /// Objects and arrays inside each other; deeper text is refused. What SDKs write has five levels.
    public static let depthMax = 64

    public enum Value {
        case object
        case array
        case string(JSONString)
        /// The number as written, which is one by JSON's grammar.
        case number(WireBytes)
        case bool(Bool)
        case null
    }

    private let bytes: WireBytes
    private var position = 0
    private var depth = 0
    /// Whether the innermost open container has had no member yet.
    private var isAtStart = false

    public init(_ bytes: WireBytes) {
        self.bytes = bytes
    }

    /// Bytes read so far.
    public var offset: Int { position }

    @inline(__always)
    private mutating func next() -> UInt8? {
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            position += 1
        }
        return nil
    }

    /// A scalar, whole, or the beginning of a container.
    public mutating func value() throws(JSONScanError) -> Value {
        guard let byte = next() else { throw .malformed }
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            position += 1
            depth += 1
            guard depth <= Self.depthMax else { throw .nestedTooDeep }
            isAtStart = true
            return byte == UInt8(ascii: "{") ? .object : .array
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default: return .number(try number())
        }
    }

    /// The next member's key, after which its value must be read or skipped; nil when the object has ended.
    public mutating func nextKey() throws(JSONScanError) -> JSONString? {
        guard try !ends(with: UInt8(ascii: "}")) else { return nil }
        guard next() == UInt8(ascii: "\"") else { throw .malformed }
        let key = try string()
        guard next() == UInt8(ascii: ":") else { throw .malformed }
        position += 1
        return key
    }

    /// Whether another element follows, which must then be read or skipped; false when the array has ended.
    public mutating func nextElement() throws(JSONScanError) -> Bool {
        try !ends(with: UInt8(ascii: "]"))
    }

    private mutating func ends(with bracket: UInt8) throws(JSONScanError) -> Bool {
        let byte = next()
        if byte == bracket {
            position += 1
            depth -= 1
            isAtStart = false
            return true
        }
        if isAtStart {
            isAtStart = false
            return false
        }
        guard byte == UInt8(ascii: ",") else { throw .malformed }
        position += 1
        return false
    }

    /// Passes over one value of any size, checking it.
    public mutating func skip() throws(JSONScanError) {
        let outer = depth
        // One bit per open container, the innermost lowest: is it an object? `depthMax` bits are enough.
        var kinds: UInt64 = 0
        var wantsValue = true
        repeat {
            if wantsValue {
                switch try value() {
                case .object: kinds = kinds << 1 | 1
                case .array: kinds <<= 1
                case .string, .number, .bool, .null: break
                }
            }
            guard depth > outer else { return }
            wantsValue = kinds & 1 == 1 ? try nextKey() != nil : try nextElement()
            if !wantsValue { kinds >>= 1 }
        } while depth > outer
    }

    /// Nothing but white space may follow the value.
    public mutating func finish() throws(JSONScanError) {
        guard depth == 0, next() == nil else { throw .malformed }
    }

    private mutating func literal(_ text: StaticString, _ value: Value) throws(JSONScanError) -> Value {
        guard bytes.count - position >= text.utf8CodeUnitCount,
            WireBytes(rebasing: bytes[position..<position + text.utf8CodeUnitCount]).matches(text)
        else { throw .malformed }
        position += text.utf8CodeUnitCount
        return value
    }

    private mutating func number() throws(JSONScanError) -> WireBytes {
        let start = position
        if peek == UInt8(ascii: "-") { position += 1 }
        let hasLeadingZero = peek == UInt8(ascii: "0")
        let digitsStart = position
        try digits()
        if hasLeadingZero, position > digitsStart + 1 { throw .malformed }
        if peek == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            position += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        return WireBytes(rebasing: bytes[start..<position])
    }

    @inline(__always)
    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func digits() throws(JSONScanError) {
        let start = position
        while let byte = peek, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        guard position > start else { throw .malformed }
    }

    private mutating func string() throws(JSONScanError) -> JSONString {
        let start = position + 1
        var hasEscapes = false
        position = start
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                defer { position += 1 }
                return JSONString(raw: WireBytes(rebasing: bytes[start..<position]), hasEscapes: hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                try checkEscape()
            } else if byte < 0x20 {
                throw .malformed
            } else {
                position += 1
            }
        }
        throw .malformed
    }

    /// At a backslash: moves behind the escape. What the digits of `\u` name is `JSONString`'s affair.
    private mutating func checkEscape() throws(JSONScanError) {
        guard position + 1 < bytes.count else { throw .malformed }
        switch bytes[position + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 2
        case UInt8(ascii: "u"):
            guard position + 6 <= bytes.count, JSONString.hexadecimal(bytes, at: position + 2) != nil else { throw .malformed }
            position += 6
        default: throw .malformed
        }
    }
}

/// A string inside JSON text, its escapes still in it.
public struct JSONString {
    /// What stands between the quotes.
    public let raw: WireBytes
    public let hasEscapes: Bool

    /// Whether the string is `text`, which must be one that JSON writes without escapes. A key that is written with escapes all
    /// the same is not found.
    @inline(__always)
    public func matches(_ text: StaticString) -> Bool { !hasEscapes && raw.matches(text) }

    /// Appends the text itself. Lone surrogates become U+FFFD.
    public func append(to output: inout OutputBuffer) {
        guard hasEscapes else { return output.append(raw) }
        var position = 0
        while position < raw.count {
            let byte = raw[position]
            guard byte == UInt8(ascii: "\\"), position + 1 < raw.count else {
                output.append(byte)
                position += 1
                continue
            }
            position += 2
            switch raw[position - 1] {
            case UInt8(ascii: "b"): output.append(8)
            case UInt8(ascii: "f"): output.append(12)
            case UInt8(ascii: "n"): output.append(10)
            case UInt8(ascii: "r"): output.append(13)
            case UInt8(ascii: "t"): output.append(9)
            case UInt8(ascii: "u"): Self.append(scalar(at: &position), to: &output)
            case let other: output.append(other)
            }
        }
    }

    /// The scalar whose four digits stand at `position`, with the low half that follows a high surrogate.
    private func scalar(at position: inout Int) -> UInt32 {
        let first = Self.hexadecimal(raw, at: position) ?? 0xFFFD
        position += 4
        guard first & 0xF800 == 0xD800 else { return first }
        guard first < 0xDC00, position + 6 <= raw.count, raw[position] == UInt8(ascii: "\\"), raw[position + 1] == UInt8(ascii: "u"),
            let second = Self.hexadecimal(raw, at: position + 2), second & 0xFC00 == 0xDC00
        else { return 0xFFFD }
        position += 6
        return 0x10000 + (first & 0x3FF) << 10 + second & 0x3FF
    }

    private static func append(_ scalar: UInt32, to output: inout OutputBuffer) {
        guard let scalar = Unicode.Scalar(scalar) else { return }
        for unit in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter { output.append(unit) }
    }

    /// Four hexadecimal digits.
    static func hexadecimal(_ bytes: WireBytes, at start: Int) -> UInt32? {
        guard start + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for byte in bytes[start..<start + 4] {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }
}

extension JSONString {
    /// A number, as the text that it is written as.
    public init(number: WireBytes) {
        self.init(raw: number, hasEscapes: false)
    }
}
