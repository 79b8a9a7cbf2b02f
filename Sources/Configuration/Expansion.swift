/// Replaces `${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, `${file:PATH}` and `$$` in every text of a configuration, keys excepted.
///
/// As in the Go collector, a value that is one reference and nothing else takes the type its text has as YAML (`8192` becomes a number,
/// `[a, b]` a list), a reference inside a longer text is pasted as text, and a default may hold references itself. Unlike there, what a
/// variable or file holds is never expanded again, so that a password may contain `$`.
struct Expansion {
    let environment: (String) -> String?
    let problems: ProblemList

    func expand(_ node: ConfigNode) -> ConfigNode {
        var expanded = node
        switch node.content {
        case .string(let text): expanded = expand(text, node)
        case .sequence(let items): expanded.content = .sequence(items.map(expand))
        case .mapping(let entries):
            expanded.content = .mapping(entries.map { .init(key: $0.key, keyLocation: $0.keyLocation, value: expand($0.value)) })
        case .null, .bool, .int, .double: break
        }
        return expanded
    }

    private enum Piece {
        case literal(String)
        case reference(Substring)
    }

    private func expand(_ text: String, _ node: ConfigNode) -> ConfigNode {
        guard text.utf8.contains(UInt8(ascii: "$")) else { return node }
        let pieces = Self.pieces(of: text[...])
        var expanded = node
        if pieces.count == 1, case .reference(let reference) = pieces[0] {
            let value = resolve(reference, at: node.location, depth: 0)
            expanded.content = Self.typed(value, at: node.location)
            expanded.expandedText = expanded.isNull ? nil : value
            return expanded
        }
        let joined = join(pieces, at: node.location, depth: 0)
        expanded.content = .string(joined)
        let referenced = pieces.contains { if case .reference = $0 { true } else { false } }
        expanded.expandedText = referenced ? joined : nil
        return expanded
    }

    /// Cuts a text at its references; `$$` becomes `$`, and `${` that is never closed stays as it is.
    private static func pieces(of text: Substring) -> [Piece] {
        var pieces: [Piece] = []
        var literal = ""
        var rest = text
        while let dollar = rest.firstIndex(of: "$") {
            literal += rest[..<dollar]
            let after = rest[rest.index(after: dollar)...]
            if after.first == "$" {
                literal += "$"
                rest = after.dropFirst()
            } else if after.first == "{", let end = closingBrace(of: after) {
                if !literal.isEmpty { pieces.append(.literal(literal)) }
                literal = ""
                pieces.append(.reference(after[after.index(after: after.startIndex)..<end]))
                rest = after[after.index(after: end)...]
            } else {
                literal += "$"
                rest = after
            }
        }
        literal += rest
        if !literal.isEmpty || pieces.isEmpty { pieces.append(.literal(literal)) }
        return pieces
    }

    /// The brace that closes the one `text` starts with; braces of nested `${` are skipped.
    private static func closingBrace(of text: Substring) -> Substring.Index? {
        var depth = 0
        var previous: Character = "$"
        for index in text.indices {
            let character = text[index]
            if character == "{", previous == "$" { depth += 1 }
            if character == "}" {
                depth -= 1
                if depth == 0 { return index }
            }
            previous = character
        }
        return nil
    }

    private func join(_ pieces: [Piece], at place: SourceLocation, depth: Int) -> String {
        var out = ""
        for piece in pieces {
            switch piece {
            case .literal(let text): out += text
            case .reference(let reference): out += resolve(reference, at: place, depth: depth)
            }
            guard out.utf8.count <= ConfigurationLimits.expandedTextBytesMax else {
                problems.error(at: place, "is larger than \(ConfigurationLimits.expandedTextBytesMax >> 20) MiB once expanded")
                return ""
            }
        }
        return out
    }

    /// The text a reference stands for; empty after a problem.
    private func resolve(_ reference: Substring, at place: SourceLocation, depth: Int) -> String {
        guard depth < ConfigurationLimits.expansionDepthMax else {
            problems.error(at: place, "'${' is nested deeper than \(ConfigurationLimits.expansionDepthMax) levels")
            return ""
        }
        if reference.hasPrefix("file:") { return fileText(String(reference.dropFirst(5)), at: place) }
        let variable = reference.hasPrefix("env:") ? reference.dropFirst(4) : reference
        let separator = variable.firstRange(of: ":-")
        let name = String(separator.map { variable[..<$0.lowerBound] } ?? variable)
        guard Self.isVariableName(name) else {
            unusable(reference, at: place)
            return ""
        }
        if let value = environment(name) { return value }
        if let separator { return join(Self.pieces(of: variable[separator.upperBound...]), at: place, depth: depth + 1) }
        problems.warning(at: place, "environment variable \(name) is not set: the value is empty")
        return ""
    }

    private func unusable(_ reference: Substring, at place: SourceLocation) {
        let scheme = reference.prefix { $0 != ":" }
        if reference.contains(":"), scheme != "env", Self.isVariableName(String(scheme)) {
            problems.error(at: place, "'${\(ConfigSection.shortened(String(scheme))):…}' is not known: use env: or file:")
        } else {
            problems.error(at: place, "'${…}' needs a variable name of letters, digits and _ (a literal $ is written $$)")
        }
    }

    private func fileText(_ path: String, at place: SourceLocation) -> String {
        do throws(FileText.Failure) {
            var text = try FileText.read(path)
            if text.last?.isNewline == true { text.removeLast() }
            return text
        } catch {
            problems.error(at: place, "file '\(path)' cannot be read: \(error.reason)")
            return ""
        }
    }

    private static func isVariableName(_ name: String) -> Bool {
        let letters = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: false
            }
        }
        guard letters, let first = name.utf8.first else { return false }
        return !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
    }

    /// What a text is as YAML; anything that is no valid YAML, and every text, stays exactly as it was.
    private static func typed(_ text: String, at place: SourceLocation) -> ConfigNode.Content {
        guard let node = try? YAMLReader.read(text, file: place.file) else { return .string(text) }
        switch node.content {
        case .string: return .string(text)
        case .null, .bool, .int, .double: return node.content
        case .sequence, .mapping: return node.relocated(to: place).markedExpanded().content
        }
    }
}

extension ConfigNode {
    /// Marks texts that came from outside, so that messages do not show them.
    fileprivate func markedExpanded() -> ConfigNode {
        var marked = self
        switch content {
        case .string(let text): marked.expandedText = text
        case .int(let number): marked.expandedText = "\(number)"
        case .sequence(let items): marked.content = .sequence(items.map { $0.markedExpanded() })
        case .mapping(let entries):
            marked.content = .mapping(
                entries.map { .init(key: $0.key, keyLocation: $0.keyLocation, value: $0.value.markedExpanded()) })
        case .null, .bool, .double: break
        }
        return marked
    }
}
