/// A JSON reader that keeps what the lossless contract is about: whether a number has a fraction, the members' order, and
/// repeated keys.
indirect enum JSONText: Equatable {
    case null
    case bool(Bool)
    case number(String)
    case string([UInt8])
    case array([JSONText])
    case object([(key: [UInt8], value: JSONText)])

    struct Malformed: Error {
        let offset: Int
    }

    static func parse(_ bytes: [UInt8]) throws -> JSONText {
        var parser = Parser(bytes: bytes)
        let value = try parser.value()
        parser.space()
        guard parser.offset == bytes.count else { throw Malformed(offset: parser.offset) }
        return value
    }

    static func parse(_ text: String) throws -> JSONText { try parse(Array(text.utf8)) }

    static func == (one: JSONText, other: JSONText) -> Bool {
        switch (one, other) {
        case (.null, .null): true
        case (.bool(let one), .bool(let other)): one == other
        case (.number(let one), .number(let other)): one == other
        case (.string(let one), .string(let other)): one == other
        case (.array(let one), .array(let other)): one == other
        case (.object(let one), .object(let other)): one.elementsEqual(other) { $0.key == $1.key && $0.value == $1.value }
        default: false
        }
    }

    private struct Parser {
        let bytes: [UInt8]
        var offset = 0

        mutating func space() {
            while offset < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset]) { offset += 1 }
        }

        mutating func take(_ text: String) -> Bool {
            space()
            let wanted = Array(text.utf8)
            guard bytes.count - offset >= wanted.count, Array(bytes[offset..<offset + wanted.count]) == wanted else { return false }
            offset += wanted.count
            return true
        }

        mutating func expect(_ text: String) throws {
            guard take(text) else { throw Malformed(offset: offset) }
        }

        mutating func value() throws -> JSONText {
            if take("null") { return .null }
            if take("true") { return .bool(true) }
            if take("false") { return .bool(false) }
            if take("[") { return .array(try list("]") { try $0.value() }) }
            if take("{") {
                return .object(
                    try list("}") { parser in
                        let key = try parser.string()
                        try parser.expect(":")
                        return (key: key, value: try parser.value())
                    })
            }
            space()
            if offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") { return .string(try string()) }
            let start = offset
            while offset < bytes.count, "+-.eE0123456789".utf8.contains(bytes[offset]) { offset += 1 }
            guard offset > start else { throw Malformed(offset: offset) }
            return .number(String(decoding: bytes[start..<offset], as: UTF8.self))
        }

        mutating func list<Element>(_ end: String, _ element: (inout Parser) throws -> Element) throws -> [Element] {
            var elements: [Element] = []
            if take(end) { return elements }
            repeat { elements.append(try element(&self)) } while take(",")
            try expect(end)
            return elements
        }

        mutating func string() throws -> [UInt8] {
            try expect("\"")
            var text: [UInt8] = []
            while offset < bytes.count {
                let byte = bytes[offset]
                offset += 1
                if byte == UInt8(ascii: "\"") { return text }
                guard byte == UInt8(ascii: "\\") else {
                    guard byte >= 0x20 else { throw Malformed(offset: offset) }
                    text.append(byte)
                    continue
                }
                guard offset < bytes.count else { break }
                let escape = bytes[offset]
                offset += 1
                let simple: [UInt8: UInt8] = [
                    UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F, UInt8(ascii: "b"): 8,
                    UInt8(ascii: "f"): 12, UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13, UInt8(ascii: "t"): 9,
                ]
                if let character = simple[escape] {
                    text.append(character)
                } else {
                    guard escape == UInt8(ascii: "u"), bytes.count - offset >= 4,
                        let code = UInt32(String(decoding: bytes[offset..<offset + 4], as: UTF8.self), radix: 16),
                        let scalar = Unicode.Scalar(code)
                    else { throw Malformed(offset: offset) }
                    offset += 4
                    text += Array(String(Character(scalar)).utf8)
                }
            }
            throw Malformed(offset: offset)
        }
    }
}

/// OTLP rebuilt from the jsonb columns, as the contract "Lossless" says how.
enum Rebuild {
    struct Unexpected: Error {
        let what: String
    }

    static func value(_ json: JSONText) throws -> ModelValue {
        switch json {
        case .null: return .absent
        case .bool(let flag): return .bool(flag)
        case .string(let text): return .string(text)
        case .array(let elements): return .array(try elements.map(value))
        case .number(let text):
            if text.contains(where: { "eE".contains($0) }) { throw Unexpected(what: "exponent") }
            if text.contains(".") {
                guard let number = Double(text) else { throw Unexpected(what: "number") }
                return .double(number)
            }
            guard let number = Int64(text) else { throw Unexpected(what: "integer") }
            return .int(number)
        case .object(let members):
            if members.count == 1 {
                switch (String(decoding: members[0].key, as: UTF8.self), members[0].value) {
                case ("double", .string(let text)):
                    let values: [String: Double] = ["-0": -0.0, "NaN": .nan, "Infinity": .infinity, "-Infinity": -.infinity]
                    guard let number = values[String(decoding: text, as: UTF8.self)] else { throw Unexpected(what: "double tag") }
                    return .double(number)
                case ("bytes", .string(let text)): return .bytes(try base64(text))
                case ("kvlist", _): return .kvlist(try attributes(json))
                case ("double", _), ("bytes", _), ("column", _): throw Unexpected(what: "untagged look-alike")
                default: break
                }
            }
            return .kvlist(try attributes(json))
        }
    }

    /// Members by key, or in order when they came as pairs with a repeated key.
    static func attributes(_ json: JSONText) throws -> [ModelAttribute] {
        guard case .object(let members) = json else { throw Unexpected(what: "no object") }
        if members.count == 1, members[0].key == Array("kvlist".utf8), case .array(let pairs) = members[0].value {
            return Model.normalised(
                try pairs.map { pair in
                    guard case .array(let parts) = pair, parts.count == 2, case .string(let key) = parts[0] else {
                        throw Unexpected(what: "pair")
                    }
                    return ModelAttribute(key, try value(parts[1]))
                })
        }
        guard Set(members.map(\.key)).count == members.count else { throw Unexpected(what: "repeated key") }
        return Model.normalised(try members.map { ModelAttribute($0.key, try value($0.value)) })
    }

    static func events(_ json: JSONText?) throws -> [ModelEvent] {
        try elements(json).map { event in
            ModelEvent(
                time: UInt64(try number(event["time_unix_nano"])), name: try string(event["name"]),
                attributes: try attributes(event["attributes"] ?? .null), dropped: UInt32(try number(event["dropped_attributes"])))
        }
    }

    static func links(_ json: JSONText?) throws -> [ModelLink] {
        try elements(json).map { link in
            ModelLink(
                traceID: try hex(string(link["trace_id"])), spanID: try hex(string(link["span_id"])),
                traceState: try string(link["trace_state"]), attributes: try attributes(link["attributes"] ?? .null),
                dropped: UInt32(try number(link["dropped_attributes"])), flags: UInt32(try number(link["flags"])))
        }
    }

    private static func elements(_ json: JSONText?) throws -> [[String: JSONText]] {
        guard let json else { return [] }
        guard case .array(let elements) = json, !elements.isEmpty else { throw Unexpected(what: "empty array instead of null") }
        return try elements.map { element in
            guard case .object(let members) = element else { throw Unexpected(what: "no object") }
            return Dictionary(uniqueKeysWithValues: members.map { (String(decoding: $0.key, as: UTF8.self), $0.value) })
        }
    }

    private static func number(_ json: JSONText?) throws -> UInt64 {
        guard case .number(let text)? = json, let number = UInt64(text) else { throw Unexpected(what: "number") }
        return number
    }

    private static func string(_ json: JSONText?) throws -> [UInt8] {
        guard case .string(let text)? = json else { throw Unexpected(what: "string") }
        return text
    }

    static func hex(_ text: [UInt8]) throws -> [UInt8] {
        guard text.count % 2 == 0 else { throw Unexpected(what: "hex") }
        return try stride(from: 0, to: text.count, by: 2).map { index in
            guard let byte = UInt8(String(decoding: text[index..<index + 2], as: UTF8.self), radix: 16) else {
                throw Unexpected(what: "hex")
            }
            return byte
        }
    }

    static func base64(_ text: [UInt8]) throws -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var bits: UInt32 = 0
        var count = 0
        var output: [UInt8] = []
        for character in text where character != UInt8(ascii: "=") {
            guard let value = alphabet.firstIndex(of: character) else { throw Unexpected(what: "base64") }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                output.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return output
    }
}
