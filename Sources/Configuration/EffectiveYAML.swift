/// A value as it was read, for `print-config` and for comparing configurations.
enum EffectiveValue {
    case text(String)
    /// A number, a duration, true or false: printed as it is.
    case literal(String)
    case list([String])
    case secret(String)
    /// Names are shown, values hidden.
    case secretMap([(name: String, value: String)])
    case section(ConfigSection)
    case sections([ConfigSection])
}

/// Writes decoded sections as YAML, defaults filled in.
struct EffectiveYAML {
    var hidesSecrets = true

    /// The Go collector's word for a hidden value.
    static let hidden = "\"[REDACTED]\""

    private(set) var text = ""

    mutating func line(_ indent: Int, _ content: String) {
        text += String(repeating: "  ", count: indent) + content + "\n"
    }

    mutating func section(_ section: ConfigSection, indent: Int) {
        for (key, value) in section.effective { entry(key, value, indent: indent) }
    }

    mutating func entry(_ key: String, _ value: EffectiveValue, indent: Int) {
        let name = Self.scalar(key)
        switch value {
        case .text(let text): line(indent, "\(name): \(Self.scalar(text))")
        case .literal(let literal): line(indent, "\(name): \(literal)")
        case .list(let items): line(indent, "\(name): [\(items.map(Self.scalar).joined(separator: ", "))]")
        case .secret(let text): line(indent, "\(name): \(secret(text))")
        case .secretMap(let pairs):
            line(indent, "\(name):\(pairs.isEmpty ? " {}" : "")")
            for pair in pairs { line(indent + 1, "\(Self.scalar(pair.name)): \(secret(pair.value))") }
        case .section(let child):
            line(indent, "\(name):\(child.effective.isEmpty ? " {}" : "")")
            section(child, indent: indent + 1)
        case .sections(let children):
            line(indent, "\(name):\(children.isEmpty ? " []" : "")")
            for child in children {
                line(indent + 1, child.effective.isEmpty ? "- {}" : "-")
                section(child, indent: indent + 2)
            }
        }
    }

    private func secret(_ text: String) -> String { hidesSecrets ? Self.hidden : Self.scalar(text) }

    /// Plain where YAML reads it back as the same text, else double-quoted. A `$` is doubled so that the output can be used as a
    /// configuration again.
    static func scalar(_ text: String) -> String {
        let escapedDollars = text.split(separator: "$", omittingEmptySubsequences: false).joined(separator: "$$")
        if isPlain(escapedDollars) { return escapedDollars }
        var out = "\""
        for scalar in escapedDollars.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            case "\r": out += "\\r"
            default:
                if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) {
                    out += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
                } else {
                    out.unicodeScalars.append(scalar)
                }
            }
        }
        return out + "\""
    }

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, case .string = ConfigNode.Content(plainScalar: text) else { return false }
        let leading = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) || first == UInt8(ascii: "/") || first == UInt8(ascii: ".")
        let inner = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "$"): true
            default: false
            }
        }
        return leading && inner && text.utf8.last != UInt8(ascii: ":")
    }
}
