import Testing
@testable import Configuration

/// A small set of components, decoded as the real ones are, so that the document can be tested without them.
enum TestCatalogue {
    static let builtIn = ConfigurationDocument.BuiltIn(
        types: [.receivers: ["otlp"], .processors: ["batch"], .exporters: ["timescaledb", "debug"], .extensions: ["health_check"]],
        signals: ["traces"])

    /// Loads and decodes; the messages are what the user would see, warnings included.
    static func load(
        _ files: [(name: String, text: String)], overrides: [String] = [], environment: [String: String] = [:]
    ) throws(ConfigurationError) -> ConfigurationDocument {
        let document = try ConfigurationDocument.load(
            files: files.map { .success($0) }, overrides: overrides, builtIn: builtIn, environment: { environment[$0] })
        for kind in ConfigurationDocument.Kind.allCases {
            for component in document.all(kind) { decode(component) }
        }
        try document.check()
        return document
    }

    static func messages(_ text: String, name: String = "collector.yaml", environment: [String: String] = [:]) -> [String] {
        do throws(ConfigurationError) {
            return try load([(name, text)], environment: environment).warnings.map(\.description)
        } catch {
            return error.problems.map(\.description)
        }
    }

    private static func decode(_ component: ConfigurationDocument.Component) {
        let section = component.section
        switch component.id.type {
        case "otlp":
            let protocols = section.section("protocols")
            for name in ["grpc", "http"] {
                guard let one = protocols?.section(name) else { continue }
                _ = one.string("endpoint", default: "localhost:4317")
                _ = one.int("max_recv_msg_size_mib", default: 64, in: 1...1024)
            }
        case "batch":
            _ = section.int("send_batch_size", default: 8192, in: 0...1_000_000)
            _ = section.duration("timeout", default: .milliseconds(200))
        case "timescaledb":
            if section.secret("dsn") == nil, !section.has("dsn") { section.problem("is required", at: "dsn") }
            _ = section.string("schema", default: "public")
            _ = section.stringMap("headers")
            let queue = section.section("sending_queue")
            _ = queue?.bool("enabled", default: true)
        case "health_check":
            _ = section.string("endpoint", default: "localhost:13133")
        default:
            break
        }
    }
}

let minimal = """
    receivers:
      otlp:
        protocols:
          grpc:
    exporters:
      debug:
    service:
      pipelines:
        traces:
          receivers: [otlp]
          exporters: [debug]

    """
