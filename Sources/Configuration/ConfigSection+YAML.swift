extension ConfigSection {
    /// A section from YAML text alone, with `${…}` left as it is: for files that components read themselves, and for their unit
    /// tests. `file` is what problems say. Throws what makes the text no mapping.
    public convenience init(yaml: String, path: String = "test", file: String = "test.yaml") throws(ConfigurationError) {
        let root: ConfigNode
        do throws(ConfigProblem) {
            root = try YAMLReader.read(yaml, file: file)
        } catch {
            throw ConfigurationError(problems: [error])
        }
        let entries: [ConfigNode.Entry]
        switch root.content {
        case .null: entries = []
        case .mapping(let pairs): entries = pairs
        case .bool, .int, .double, .string, .sequence:
            throw ConfigurationError(problems: [ConfigProblem(at: root.location, "expected a mapping, found \(root.kind)")])
        }
        self.init(path: path, location: root.location, entries: entries, problems: ProblemList())
    }

    /// The problems found so far in this section and all that share its document, as printed.
    public var problemMessages: [String] { problems.sorted.map(\.description) }
}
