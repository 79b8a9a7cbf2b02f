import Pipeline

/// What a PostgreSQL error code means for a batch. Contract: database documentation, "SQLSTATE rules"; codes:
/// https://www.postgresql.org/docs/15/errcodes-appendix.html
enum SQLStateClass: Equatable {
    /// Passes by itself: connection, read-only after a fail-over, serialization, resources, locks, operator intervention.
    case transient
    /// The rows themselves; some of them must be found and left out.
    case data
    /// Somebody has to change something: password, database, schema, rights.
    case configuration

    init(_ state: String) {
        switch state.prefix(2) {
        case "22", "23", "54", "P0": self = .data
        case "28", "3D", "3F", "42", "0A", "2F", "38", "39": self = .configuration
        default: self = .transient
        }
    }
}

/// Why the database did not do what it was told.
enum DatabaseError: Error, Equatable {
    /// No connection could be made, or it broke. The text names host and cause.
    case connection(String)
    /// The server answered with an error. For errors about data the text names only code, table, column and constraint,
    /// because the server's own message may quote values.
    case server(sqlState: String, String)
    /// The server can never serve as it is: too old, wrong encoding, newer schema.
    case unsuitable(String)
    /// The exporter's time was up.
    case interrupted

    var problem: ExportProblem {
        switch self {
        case .connection(let text): ExportProblem(kind: "connection", text)
        case .unsuitable(let text): ExportProblem(kind: "schema", text)
        case .interrupted: ExportProblem(kind: "interrupted", "broken off because the collector is stopping")
        case .server(let state, let text):
            ExportProblem(kind: Self.kind(state), "\(text) (SQLSTATE \(state))")
        }
    }

    private static func kind(_ state: String) -> String {
        switch SQLStateClass(state) {
        case .data: return "data"
        case .configuration: return state.hasPrefix("28") ? "authentication" : "schema"
        case .transient:
            if state == "53100" { return "disk" }
            if state == "25006" { return "read_only" }
            return state.hasPrefix("08") || state.hasPrefix("57P") ? "connection" : "database"
        }
    }

    /// How to go on when this ended an attempt: never for data errors, which are for the writer to sort out.
    var retryAfter: Duration? {
        switch self {
        case .unsuitable: TimescaleDBLimits.configurationRetry
        case .server(let state, _) where SQLStateClass(state) == .configuration: TimescaleDBLimits.configurationRetry
        case .server, .connection, .interrupted: nil
        }
    }

    var isDataError: Bool {
        if case .server(let state, _) = self { return SQLStateClass(state) == .data }
        return false
    }
}
