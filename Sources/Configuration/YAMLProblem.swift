import Yams

extension ConfigProblem {
    /// The YAML library's error in one line: its own words with the place, never the text around it, which may hold a secret.
    init(_ error: YamlError, in text: String, file: String) {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _):
            self.init(at: Self.place(mark, file), Self.words(problem, context, Self.line(mark.line, of: text)))
        case .composer(let context, let problem, let mark, _):
            // The context is set only when a document follows the first.
            let words = context == nil ? "not valid YAML: \(problem)" : "a second document begins here: a file holds one"
            self.init(at: Self.place(mark, file), words)
        case .duplicatedKeysInMapping(let keys, let context):
            let key = keys.first ?? ""
            let again = Self.repetition(of: key, after: context.mark, in: text) ?? context.mark.line
            self.init(
                at: SourceLocation(file: file, line: again, column: context.mark.column),
                "key '\(ConfigSection.shortened(key))' is given more than once (first in line \(context.mark.line))")
        case .reader(let problem, let offset, _, _):
            self.init(at: Self.place(ofCharacter: offset, in: text, file), "not valid YAML: \(problem)")
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            self.init(at: SourceLocation(file: file), "cannot be read as YAML")
        }
    }

    private static func words(_ problem: String, _ context: YamlError.Context?, _ line: Substring) -> String {
        if problem.contains("cannot start any token"), line.contains("\t") {
            return "a tab cannot be used for indentation: use spaces"
        }
        if problem.contains("nesting level") {
            return "nested deeper than \(ConfigurationLimits.depthMax) levels"
        }
        let began = context.map { " \($0.text) that begins in line \($0.mark.line)" } ?? ""
        return "not valid YAML: \(problem)\(began)"
    }

    private static func place(_ mark: Mark, _ file: String) -> SourceLocation {
        SourceLocation(file: file, line: mark.line, column: mark.column)
    }

    private static func line(_ number: Int, of text: String) -> Substring {
        let lines = text.split(separator: "\n", maxSplits: max(0, number), omittingEmptySubsequences: false)
        return lines.indices.contains(number - 1) ? lines[number - 1] : ""
    }

    /// The line below `mark` where the key stands again with the same indentation; nil when it is not written so plainly.
    private static func repetition(of key: String, after mark: Mark, in text: String) -> Int? {
        let indentation = String(repeating: " ", count: max(0, mark.column - 1))
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return lines.indices.dropFirst(mark.line).first { index in
            lines[index].hasPrefix(indentation + key) && lines[index].dropFirst(indentation.count + key.count).first == ":"
        }.map { $0 + 1 }
    }

    private static func place(ofCharacter offset: Int?, in text: String, _ file: String) -> SourceLocation {
        guard let offset else { return SourceLocation(file: file) }
        let before = text.prefix(offset)
        let lastLine = before.split(omittingEmptySubsequences: false) { $0.isNewline }.last ?? ""
        return SourceLocation(file: file, line: before.count { $0.isNewline } + 1, column: lastLine.unicodeScalars.count + 1)
    }
}
