extension ConfigNode {
    /// Lays a later file over this one: mappings merge key by key, everything else is replaced (lists too), as in the Go collector.
    func overlaid(by later: ConfigNode) -> ConfigNode {
        guard case .mapping(var entries) = content, case .mapping(let over) = later.content else { return later }
        var positions = Dictionary(entries.enumerated().map { ($1.key, $0) }) { first, _ in first }
        for entry in over {
            if let position = positions[entry.key] {
                let merged = entries[position].value.overlaid(by: entry.value)
                if case .mapping = merged.content {} else { entries[position].keyLocation = entry.keyLocation }
                entries[position].value = merged
            } else {
                positions[entry.key] = entries.count
                entries.append(entry)
            }
        }
        var merged = self
        merged.content = .mapping(entries)
        return merged
    }

    /// The tree that `--set a.b=c` stands for. Keys are parted by `.`, or by `::` as in the Go collector when a key holds a dot; the
    /// value is YAML.
    static func override(_ argument: String) throws(ConfigProblem) -> ConfigNode {
        guard let equals = argument.firstIndex(of: "=") else {
            throw ConfigProblem(at: SourceLocation(file: "--set \(ConfigSection.shortened(argument))"), "write it as a.b=value")
        }
        let path = String(argument[..<equals])
        let place = SourceLocation(file: "--set \(path)")
        let keys = split(path)
        guard keys.allSatisfy({ !$0.isEmpty }), keys.count <= ConfigurationLimits.depthMax else {
            throw ConfigProblem(at: place, "the key is not of the form a.b.c")
        }
        var node: ConfigNode
        do throws(ConfigProblem) {
            node = try YAMLReader.read(String(argument[argument.index(after: equals)...]), file: place.file).relocated(to: place)
        } catch {
            throw ConfigProblem(at: place, error.message)
        }
        for key in keys.reversed() {
            node = ConfigNode(.mapping([.init(key: key, keyLocation: place, value: node)]), at: place)
        }
        return node
    }

    private static func split(_ path: String) -> [String] {
        guard path.contains("::") else { return path.split(separator: ".", omittingEmptySubsequences: false).map(String.init) }
        var keys: [String] = []
        var rest = path[...]
        while let separator = rest.firstRange(of: "::") {
            keys.append(String(rest[..<separator.lowerBound]))
            rest = rest[separator.upperBound...]
        }
        return keys + [String(rest)]
    }

    /// The same tree with every value placed at one spot.
    func relocated(to place: SourceLocation) -> ConfigNode {
        var moved = self
        moved.location = place
        switch content {
        case .sequence(let items):
            moved.content = .sequence(items.map { $0.relocated(to: place) })
        case .mapping(let entries):
            moved.content = .mapping(entries.map { .init(key: $0.key, keyLocation: place, value: $0.value.relocated(to: place)) })
        case .null, .bool, .int, .double, .string: break
        }
        return moved
    }
}
