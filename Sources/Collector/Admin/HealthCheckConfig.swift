import Configuration

/// `extensions.health_check`: keys and defaults of the Go collector's extension, the parts listed in the configuration contract.
struct HealthCheckConfig: Sendable, Equatable {
    var endpoint = Endpoint(host: "localhost", port: 13133)
    /// Path of the answer.
    var path = "/"

    init(from section: ConfigSection) {
        endpoint = section.endpoint("endpoint", default: endpoint)
        path = section.string("path", default: path)
        if !path.hasPrefix("/") { section.problem("must start with /", at: "path") }
        section.finish()
    }
}
