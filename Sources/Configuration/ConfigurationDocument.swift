/// The whole configuration: the components by kind, each with the section it decodes itself from, and the service that ties them.
///
/// Loading notes problems and goes on; `check()` throws them all at once after the components have been decoded.
public final class ConfigurationDocument {
    public enum Kind: String, CaseIterable, Sendable {
        case receivers, processors, exporters, extensions

        /// `receiver`, for messages.
        var singular: String { String(rawValue.dropLast()) }

        /// `an exporter`, for messages.
        var oneOfThem: String { (["e"].contains(rawValue.prefix(1)) ? "an " : "a ") + singular }
    }

    public struct Component {
        public let id: ComponentID
        public let section: ConfigSection
    }

    /// What this build can run.
    public struct BuiltIn: Sendable {
        public var types: [Kind: [String]]
        public var signals: [String]

        public init(types: [Kind: [String]], signals: [String]) {
            self.types = types
            self.signals = signals
        }
    }

    public let service: ServiceConfig
    private let components: [Kind: [Component]]
    private let root: ConfigSection
    private let problems: ProblemList

    /// Components of one kind in the order written.
    public func all(_ kind: Kind) -> [Component] { components[kind] ?? [] }

    public func component(_ kind: Kind, _ id: ComponentID) -> Component? { all(kind).first { $0.id == id } }

    /// Reads and merges the files, lays the `--set` overrides over them, expands references. Throws when that cannot be done at all:
    /// a file is missing or no YAML.
    public static func load(
        paths: [String], overrides: [String] = [], builtIn: BuiltIn, environment: @escaping (String) -> String?
    ) throws(ConfigurationError) -> ConfigurationDocument {
        let files = paths.map { path in
            Result { () throws(ConfigProblem) -> (name: String, text: String) in
                do throws(FileText.Failure) {
                    return (path, try FileText.read(path))
                } catch {
                    throw ConfigProblem(at: SourceLocation(file: path), "cannot be read: \(error.reason)")
                }
            }
        }
        return try load(files: files, overrides: overrides, builtIn: builtIn, environment: environment)
    }

    static func load(
        files: [Result<(name: String, text: String), ConfigProblem>], overrides: [String], builtIn: BuiltIn,
        environment: @escaping (String) -> String?
    ) throws(ConfigurationError) -> ConfigurationDocument {
        let problems = ProblemList()
        var merged = ConfigNode(.mapping([]), at: SourceLocation(file: "configuration"))
        func overlay(_ node: ConfigNode) {
            if merged.location.line == 0 { merged.location = node.location }
            if case .mapping = node.content {
                merged = merged.overlaid(by: node)
            } else if !node.isNull {
                problems.error(at: node.location, "expected a mapping with receivers, exporters, service …, found \(node.kind)")
            }
        }
        for file in files {
            do throws(ConfigProblem) {
                let (name, text) = try file.get()
                problems.fileOrder.append(name)
                overlay(try YAMLReader.read(text, file: name))
            } catch {
                problems.add(error)
            }
        }
        for argument in overrides {
            do throws(ConfigProblem) {
                let node = try ConfigNode.override(argument)
                problems.fileOrder.append(node.location.file)
                overlay(node)
            } catch {
                problems.add(error)
            }
        }
        guard problems.errors.isEmpty else { throw ConfigurationError(problems: problems.sorted) }
        let expanded = Expansion(environment: environment, problems: problems).expand(merged)
        return ConfigurationDocument(expanded, builtIn: builtIn, problems: problems)
    }

    private init(_ node: ConfigNode, builtIn: BuiltIn, problems: ProblemList) {
        self.problems = problems
        var entries: [ConfigNode.Entry] = []
        if case .mapping(let pairs) = node.content { entries = pairs }
        root = ConfigSection(path: "", location: node.location, entries: entries, problems: problems)
        var components: [Kind: [Component]] = [:]
        for kind in Kind.allCases {
            components[kind] = Self.components(of: kind, root, types: builtIn.types[kind] ?? [])
        }
        self.components = components
        if let section = root.section("service") {
            service = ServiceConfig(from: section, signals: builtIn.signals)
        } else {
            service = ServiceConfig(from: root.absent("service"), signals: builtIn.signals)
        }
        checkReferences(builtIn)
    }

    private static func components(of kind: Kind, _ root: ConfigSection, types: [String]) -> [Component] {
        guard let section = root.section(kind.rawValue) else { return [] }
        var list: [Component] = []
        for key in section.keys {
            let known = section.section(key)
            guard let id = ComponentID(key) else {
                section.problem("\(kind.oneOfThem) is named type or type/name", at: key)
                continue
            }
            guard let known else { continue }
            if let same = list.first(where: { $0.id == id }) {
                section.problem("is the same as '\(same.section.path)'", at: key)
            }
            if !types.contains(id.type) {
                let hint = KeySuggestion.hint(for: id.type, among: types)
                let names = types.isEmpty ? "none" : types.sorted().joined(separator: ", ")
                section.problem("no \(kind.singular) of type '\(id.type)' is built in (known: \(names))\(hint)", at: key)
                known.ignore()
            }
            list.append(Component(id: id, section: known))
        }
        return list
    }

    /// Every reference has its component, and every component a reference (unless what is wrong with it was said already).
    private func checkReferences(_ builtIn: BuiltIn) {
        var used: [Kind: Set<ComponentID>] = [:]
        func check(_ kind: Kind, _ references: [ComponentReference], path: String) {
            var seen: Set<ComponentID> = []
            for reference in references {
                used[kind, default: []].insert(reference.id)
                if !seen.insert(reference.id).inserted {
                    problems.error(at: reference.location, "\(path): '\(reference.id)' is listed twice")
                }
                guard component(kind, reference.id) == nil else { continue }
                let hint = KeySuggestion.hint(for: reference.id.description, among: all(kind).map(\.id.description))
                problems.error(at: reference.location, "\(path): '\(reference.id)' is not defined under \(kind.rawValue)\(hint)")
            }
        }
        for pipeline in service.pipelines {
            let path = "service.pipelines.\(pipeline.id)"
            check(.receivers, pipeline.receivers, path: "\(path).receivers")
            check(.processors, pipeline.processors, path: "\(path).processors")
            check(.exporters, pipeline.exporters, path: "\(path).exporters")
        }
        check(.extensions, service.extensions, path: "service.extensions")
        for kind in Kind.allCases {
            guard kind == .extensions || !service.pipelines.isEmpty else { continue }
            for component in all(kind) where !(used[kind]?.contains(component.id) ?? false) {
                guard builtIn.types[kind]?.contains(component.id.type) ?? false else { continue }
                component.section.problem(
                    kind == .extensions ? "is not used: list it under service.extensions or remove it"
                        : "is not used by any pipeline: add it to one or remove it")
            }
        }
    }

    /// Call after every component has decoded its section: reports keys nobody read, and throws all problems at once.
    public func check() throws(ConfigurationError) {
        root.finish()
        if !problems.errors.isEmpty { throw ConfigurationError(problems: problems.sorted) }
    }

    /// Findings that do not stop the collector, such as environment variables that are not set.
    public var warnings: [ConfigProblem] { problems.warnings }

    /// The configuration in effect, defaults included and secrets hidden, as YAML. Complete once the components are decoded.
    public func effectiveYAML() -> String {
        var yaml = EffectiveYAML()
        yaml.section(root, indent: 0)
        return yaml.text
    }
}
