/// What the SQL of the migrations depends on: the user's settings and what the server can do.
struct SchemaSettings: Sendable, Equatable {
    /// TimescaleDB as installed in the database.
    struct Extension: Sendable, Equatable {
        /// The schema of its functions, which need not be on the search path.
        var functions: SQLIdentifier
        var version: String
        /// The Community edition; the Apache edition has hypertables, but no compression, policies or continuous aggregates.
        var isCommunity: Bool
    }

    var schema = SQLIdentifier(name: "public")
    var indexes = TimescaleDBConfig.Indexes.standard
    var chunkInterval = Duration.seconds(86_400)
    var compressAfter = Duration.zero
    var retention = Duration.zero
    var spacePartitions = 0
    /// Nil on plain PostgreSQL.
    var timescale: Extension?
    /// Whether the server was built with lz4.
    var hasLZ4 = true

    init() {}

    init(_ config: TimescaleDBConfig) {
        schema = config.schema
        indexes = config.indexes
        chunkInterval = config.chunkInterval
        compressAfter = config.compressAfter
        retention = config.retention
        spacePartitions = config.spacePartitions
    }

    /// `schema.table` as a string literal cast to regclass, for TimescaleDB's functions.
    func relation(_ table: String) -> String {
        SQLIdentifier(name: "\(schema).\(table)").literal + "::regclass"
    }
}

/// One numbered step of the schema.
struct Migration: Sendable {
    let version: Int
    let name: String
    /// Statements that do no harm when repeated; all run in one transaction.
    let statements: @Sendable (SchemaSettings) -> [String]

    /// In order, from 1 without gaps. Steps that have been released are never changed.
    static let all = [
        Migration(version: 1, name: "tables", statements: TracesTable.statements),
        Migration(version: 2, name: "aggregates_and_views", statements: TracesViews.statements),
    ]

    static let latest = all.count
}
