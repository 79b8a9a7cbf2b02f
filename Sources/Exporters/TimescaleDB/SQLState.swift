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
            Self.problem(state, "\(text) (SQLSTATE \(state))")
        }
    }

    /// The kind, which is a metric label, and what the operator can do.
    private static func problem(_ state: String, _ text: String) -> ExportProblem {
        let (kind, advice): (String, String?) =
            switch state {
            case _ where SQLStateClass(state) == .data: ("data", nil)
            case _ where state.hasPrefix("28"): ("authentication", "check user, password and the server's pg_hba.conf")
            case "3D000": ("missing_database", "create the database, or correct the dsn")
            case "3F000", "42P01": ("missing_table", "it is made again when auto_migrate is on; else run the migrate command")
            case "42501": ("permission", "grant the role what it needs")
            case _ where SQLStateClass(state) == .configuration: ("schema", "the tables are not as the collector made them")
            case "25006":
                ("read_only", "waiting for a server that takes writes; name all hosts of a cluster in the dsn to follow a fail-over")
            case "53100": ("disk", "the database server's disk is full")
            case "53300": ("too_many_connections", "raise max_connections of the server or lower num_consumers")
            case "55P03": ("lock_timeout", "another session keeps the table locked")
            case "57P01", "57P02", "57P03", "57P05": ("server_stopping", "the server is stopping or starting")
            case _ where state.hasPrefix("08"): ("connection", nil)
            default: ("database", nil)
            }
        return ExportProblem(kind: kind, advice.map { "\(text); \($0)" } ?? text)
    }

    /// Nothing will change soon: somebody has to do something first.
    var needsPatience: Bool {
        switch self {
        case .unsuitable: true
        case .server(let state, _): SQLStateClass(state) == .configuration && !meansMissingTable
        case .connection, .interrupted: false
        }
    }

    /// What the schema's migrations made is gone, so they have to be looked at again.
    var meansMissingTable: Bool { ["42P01", "3F000", "42703"].contains(sqlState) }

    var sqlState: String? {
        if case .server(let state, _) = self { state } else { nil }
    }

    var isDataError: Bool {
        if case .server(let state, _) = self { return SQLStateClass(state) == .data }
        return false
    }
}
