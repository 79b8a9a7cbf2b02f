import Yams

/// Reads YAML text into `ConfigNode`s: positions kept, aliases and merge keys (`<<`) resolved, bounded in size, depth and expansion.
struct YAMLReader {
    private let file: String
    private var nodes = 0

    /// The root value, null for an empty document. Throws one problem that says where the text is no usable YAML.
    static func read(_ text: String, file: String) throws(ConfigProblem) -> ConfigNode {
        let start = SourceLocation(file: file, line: 1, column: 1)
        guard text.utf8.count <= ConfigurationLimits.fileBytesMax else {
            throw ConfigProblem(at: SourceLocation(file: file), "is larger than \(ConfigurationLimits.fileBytesMax >> 20) MiB")
        }
        let body = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
        if let problem = AliasGuard.problem(in: body, file: file) { throw problem }
        guard let root = try compose(body, file: file) else { return ConfigNode(.null, at: start) }
        var reader = YAMLReader(file: file)
        return try reader.convert(root, depth: 0)
    }

    private init(file: String) {
        self.file = file
    }

    private static func compose(_ text: String, file: String) throws(ConfigProblem) -> Node? {
        do {
            // The basic resolver leaves every plain scalar a text: types are ours to decide, and no regular expressions are built.
            return try Yams.compose(yaml: text, .basic, .default, .utf8)
        } catch let error as YamlError {
            throw ConfigProblem(error, in: text, file: file)
        } catch {
            throw ConfigProblem(at: SourceLocation(file: file), "cannot be read as YAML")
        }
    }

    private mutating func convert(_ node: Node, depth: Int) throws(ConfigProblem) -> ConfigNode {
        let location = Self.location(node.mark, file: file)
        nodes += 1
        guard nodes <= ConfigurationLimits.nodesMax else {
            throw ConfigProblem(at: location, "more than \(ConfigurationLimits.nodesMax) values (are aliases nested?)")
        }
        guard depth <= ConfigurationLimits.depthMax else {
            throw ConfigProblem(at: location, "nested deeper than \(ConfigurationLimits.depthMax) levels")
        }
        switch node {
        case .scalar(let scalar):
            return ConfigNode(Self.content(of: scalar), at: location)
        case .sequence(let sequence):
            var items: [ConfigNode] = []
            for item in sequence { items.append(try convert(item, depth: depth + 1)) }
            return ConfigNode(.sequence(items), at: location)
        case .mapping(let mapping):
            return ConfigNode(.mapping(try entries(of: mapping, depth: depth)), at: location)
        case .alias:
            throw ConfigProblem(at: location, "undefined alias")
        }
    }

    /// The mapping's own keys in order, then those of `<<` that it does not have itself; of several merged mappings the first wins
    /// (YAML merge key specification, 2005).
    private mutating func entries(of mapping: Node.Mapping, depth: Int) throws(ConfigProblem) -> [ConfigNode.Entry] {
        var own: [ConfigNode.Entry] = []
        var merged: [ConfigNode.Entry] = []
        for (key, value) in mapping {
            let keyLocation = Self.location(key.mark, file: file)
            guard case .scalar(let name) = key else {
                throw ConfigProblem(at: keyLocation, "a key must be a text, not a list or mapping")
            }
            if name.string == "<<", name.style == .plain {
                merged += try mergedEntries(try convert(value, depth: depth + 1), at: keyLocation)
            } else {
                own.append(.init(key: name.string, keyLocation: keyLocation, value: try convert(value, depth: depth + 1)))
            }
        }
        var taken = Set(own.map(\.key))
        for entry in merged where taken.insert(entry.key).inserted { own.append(entry) }
        return own
    }

    private func mergedEntries(_ value: ConfigNode, at location: SourceLocation) throws(ConfigProblem) -> [ConfigNode.Entry] {
        switch value.content {
        case .mapping(let entries): return entries
        case .sequence(let items):
            var all: [ConfigNode.Entry] = []
            for item in items {
                guard case .mapping(let entries) = item.content else {
                    throw ConfigProblem(at: item.location, "'<<' needs a mapping or a list of mappings")
                }
                all += entries
            }
            return all
        case .null, .bool, .int, .double, .string:
            throw ConfigProblem(at: location, "'<<' needs a mapping or a list of mappings")
        }
    }

    /// Quoted and block texts are texts; plain ones and those tagged as numbers or booleans are typed by what they look like.
    private static func content(of scalar: Node.Scalar) -> ConfigNode.Content {
        switch scalar.tag.rawValue {
        case Tag.Name.implicit.rawValue:
            scalar.style == .plain || scalar.style == .any ? .init(plainScalar: scalar.string) : .string(scalar.string)
        case Tag.Name.int.rawValue, Tag.Name.float.rawValue, Tag.Name.bool.rawValue, Tag.Name.null.rawValue:
            .init(plainScalar: scalar.string)
        default: .string(scalar.string)
        }
    }

    private static func location(_ mark: Mark?, file: String) -> SourceLocation {
        SourceLocation(file: file, line: mark?.line ?? 0, column: mark?.column ?? 0)
    }
}
