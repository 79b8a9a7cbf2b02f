/// A value whose type is the user's choice: what `value: 2245` or `value: true` means to an attribute.
public indirect enum ConfigValue: Equatable, Sendable {
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case list([ConfigValue])
    /// In the order written; keys are different from each other.
    case mapping([Member])

    public struct Member: Equatable, Sendable {
        public let key: String
        public let value: ConfigValue
    }

    /// Nil for null, which stands for no value. Inside lists and mappings a null is left out.
    init?(_ node: ConfigNode) {
        switch node.content {
        case .null: return nil
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .double(let number): self = .double(number)
        case .string(let text): self = .string(text)
        case .sequence(let items): self = .list(items.compactMap(ConfigValue.init))
        case .mapping(let entries):
            self = .mapping(entries.compactMap { entry in ConfigValue(entry.value).map { Member(key: entry.key, value: $0) } })
        }
    }

    /// As YAML on one line.
    var yaml: String {
        switch self {
        case .bool(let flag): "\(flag)"
        case .int(let number): "\(number)"
        case .double(let number): number.isNaN ? ".nan" : number.isInfinite ? (number < 0 ? "-.inf" : ".inf") : "\(number)"
        case .string(let text): EffectiveYAML.scalar(text)
        case .list(let items): "[\(items.map(\.yaml).joined(separator: ", "))]"
        case .mapping(let members):
            "{\(members.map { "\(EffectiveYAML.scalar($0.key)): \($0.value.yaml)" }.joined(separator: ", "))}"
        }
    }
}
