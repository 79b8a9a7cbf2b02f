import Configuration

/// `cors` of the HTTP protocol, for browsers that export directly.
public struct CORSConfig: Sendable {
    /// `*`, or origins in which `*` stands for any text, as in `https://*.example.com`.
    public var allowedOrigins: [String] = []
    /// Headers beyond those that browsers always allow and `content-type`.
    public var allowedHeaders: [String] = []
    /// How long browsers may remember a preflight answer, seconds; 0 = their own default.
    public var maxAgeSeconds = 0

    public init(from section: ConfigSection) {
        allowedOrigins = section.strings("allowed_origins", default: [])
        allowedHeaders = section.strings("allowed_headers", default: [])
        maxAgeSeconds = section.int("max_age", default: 0, in: 0...86_400)
        section.finish()
    }

    public init(allowedOrigins: [String]) {
        self.allowedOrigins = allowedOrigins
    }

    func allows(origin: String) -> Bool {
        allowedOrigins.contains { Self.matches(pattern: Array($0.utf8), text: Array(origin.utf8)) }
    }

    /// Whether `text` is `pattern`, in which `*` stands for any run of characters; linear for the one or two stars in use.
    static func matches(pattern: [UInt8], text: [UInt8]) -> Bool {
        var patternIndex = 0
        var textIndex = 0
        var star: (pattern: Int, text: Int)?
        while textIndex < text.count {
            if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "*") {
                star = (patternIndex, textIndex)
                patternIndex += 1
            } else if patternIndex < pattern.count, pattern[patternIndex] == text[textIndex] {
                patternIndex += 1
                textIndex += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                patternIndex = last.pattern + 1
                textIndex = last.text + 1
            } else {
                return false
            }
        }
        return pattern[patternIndex...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
