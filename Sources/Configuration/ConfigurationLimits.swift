/// Bounds on what a configuration may hold. A hostile or broken file ends in a message, never in a hang or a crash.
enum ConfigurationLimits {
    /// Bytes of one configuration file, and of a file read by `${file:PATH}`: hundreds of times a large real one.
    static let fileBytesMax = 4 << 20
    /// Mappings and lists inside each other: real files need about 10. libyaml itself stops at 1,000.
    static let depthMax = 64
    /// Values of one configuration after aliases and merge keys are expanded; an alias bomb passes it at once.
    static let nodesMax = 100_000
    /// Aliases (`*name`) in a file that also uses aliases or collections inside mapping keys: keys are hashed whole by the YAML
    /// library, and 24 aliases expand to at most 3^8 = 6,561 times a value.
    static let aliasesInKeyedFileMax = 24
    /// `${…}` inside `${…:-…}`.
    static let expansionDepthMax = 8
    /// Bytes of one text after expansion.
    static let expandedTextBytesMax = 1 << 20
    /// Problems kept; the rest is only counted.
    static let problemsMax = 200
}
