/// Where a value of the configuration was written.
public struct SourceLocation: Hashable, Sendable, CustomStringConvertible {
    /// Path as the user gave it, or `--set a.b=c`.
    public var file: String
    /// From 1; 0 when the whole file is meant.
    public var line: Int
    /// From 1, in Unicode scalars.
    public var column: Int

    public init(file: String, line: Int = 0, column: Int = 0) {
        self.file = file
        self.line = line
        self.column = column
    }

    public var description: String { line > 0 ? "\(file):\(line):\(column)" : file }
}

/// One finding about the configuration. Its text never holds a value that came from the environment, a file, or a secret key.
public struct ConfigProblem: Error, Hashable, CustomStringConvertible {
    public enum Severity: Hashable, Sendable { case error, warning }

    public var severity: Severity
    public var location: SourceLocation
    public var message: String

    public init(_ severity: Severity = .error, at location: SourceLocation, _ message: String) {
        self.severity = severity
        self.location = location
        self.message = message
    }

    /// `file:line:column: message`
    public var description: String {
        switch severity {
        case .error: "\(location): \(message)"
        case .warning: "\(location): warning: \(message)"
        }
    }
}

/// Why a configuration cannot be used: everything that is wrong with it, in the order of the files.
public struct ConfigurationError: Error, CustomStringConvertible {
    public let problems: [ConfigProblem]

    public init(problems: [ConfigProblem]) {
        self.problems = problems
    }

    public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Collects problems while a configuration is read and decoded.
final class ProblemList {
    private var found: [ConfigProblem] = []
    private var seen: Set<ConfigProblem> = []
    private var isCutOff = false
    /// Files in the order they were given, so that problems are listed in that order.
    var fileOrder: [String] = []

    var count: Int { found.count }

    /// No further problem would be listed: what is costly to say need not be worked out.
    var isFull: Bool { found.count >= ConfigurationLimits.problemsMax }

    func add(_ problem: ConfigProblem) {
        guard !isFull else {
            isCutOff = true
            return
        }
        guard seen.insert(problem).inserted else { return }
        found.append(problem)
    }

    func error(at location: SourceLocation, _ message: String) {
        add(ConfigProblem(.error, at: location, message))
    }

    func warning(at location: SourceLocation, _ message: String) {
        add(ConfigProblem(.warning, at: location, message))
    }

    /// Sorted by file, line and column; of two at the same place the earlier found comes first.
    var sorted: [ConfigProblem] {
        let ranks = Dictionary(fileOrder.enumerated().map { ($1, $0) }, uniquingKeysWith: min)
        func rank(_ offset: Int, _ place: SourceLocation) -> (Int, Int, Int, Int) {
            (ranks[place.file] ?? fileOrder.count, place.line, place.column, offset)
        }
        var list = found.enumerated()
            .sorted { rank($0.offset, $0.element.location) < rank($1.offset, $1.element.location) }
            .map(\.element)
        if isCutOff, let last = list.last {
            list.append(ConfigProblem(.error, at: SourceLocation(file: last.location.file), "more problems are not listed"))
        }
        return list
    }

    var errors: [ConfigProblem] { sorted.filter { $0.severity == .error } }
    var warnings: [ConfigProblem] { sorted.filter { $0.severity == .warning } }
}
