import Logging

/// What a migration run did.
public struct MigrationReport: Sendable, Equatable, CustomStringConvertible {
    public var versionBefore: Int
    public var versionAfter: Int
    /// `TimescaleDB 2.28.3` or `PostgreSQL`.
    public var server: String
    public var applied: [String]

    public var description: String {
        applied.isEmpty
            ? "schema is at version \(versionAfter) on \(server), nothing to do"
            : "schema went from version \(versionBefore) to \(versionAfter) on \(server): \(applied.joined(separator: ", "))"
    }
}

/// Brings the schema up to date. Each step is one transaction under an advisory lock that the transaction holds, so any number
/// of collectors may start at once, and PgBouncer in transaction mode may be in between.
struct Migrator {
    let connection: Connection
    let logger: Logger
    private(set) var settings: SchemaSettings
    /// Makes another connection, for what may cost it.
    private let connect: () throws(DatabaseError) -> Connection

    /// First half of the advisory lock's key; the second is made from the schema's name.
    private static let lockKey = 0x436F_6C6C

    init(settings: SchemaSettings, logger: Logger, connect: @escaping () throws(DatabaseError) -> Connection) throws(DatabaseError) {
        self.connect = connect
        connection = try connect()
        self.settings = settings
        self.logger = logger
    }

    private var schema: SQLIdentifier { settings.schema }

    /// The schema's version in the database; 0 when there is none.
    func version() throws(DatabaseError) -> Int {
        let table = SQLIdentifier(name: "\(schema).collector_schema_migrations").literal
        guard try connection.query("select to_regclass(\(table)) is not null").first?[0] == "t" else { return 0 }
        let rows = try connection.query("select coalesce(max(version), 0) from \(schema).collector_schema_migrations")
        return rows.first?[0].flatMap { Int($0) } ?? 0
    }

    /// Whether the tables that writers need are there.
    func tablesExist() throws(DatabaseError) -> Bool {
        let missing = ["traces", "resources"].map { "to_regclass(\(SQLIdentifier(name: "\(schema).\($0)").literal)) is null" }
        return try connection.query("select \(missing.joined(separator: " or "))").first?[0] == "f"
    }

    /// Throws when the schema is newer than this program knows.
    func checkNotNewer(_ version: Int) throws(DatabaseError) {
        guard version <= Migration.latest else {
            throw .unsuitable(
                "the database schema has version \(version), this collector knows up to \(Migration.latest): update the collector")
        }
    }

    /// Applies what is missing.
    ///
    /// - Parameter always: sets up policies also when no step was missing.
    mutating func run(always: Bool) throws(DatabaseError) -> MigrationReport {
        let before = try version()
        try checkNotNewer(before)
        // Dropped behind our back: the steps are idempotent, so they are all taken again.
        let isGone = before == 0 ? false : try !tablesExist()
        if isGone { logger.warning("tables are missing and are made again", metadata: ["schema": "\(schema.name)"]) }
        try detectServer(mayCreateExtension: before == 0 || isGone)
        var report = MigrationReport(versionBefore: before, versionAfter: before, server: serverName, applied: [])
        if before == Migration.latest, !always, !isGone { return report }
        for migration in Migration.all {
            if try apply(migration, again: isGone) { report.applied.append("\(migration.version) \(migration.name)") }
            report.versionAfter = max(report.versionAfter, migration.version)
        }
        let policies = Policies.statements(settings)
        if !policies.isEmpty {
            try inLockedTransaction { connection throws(DatabaseError) in
                for statement in policies { try connection.query(statement) }
            }
        }
        return report
    }

    private var serverName: String { settings.timescale.map { "TimescaleDB \($0.version)" } ?? "PostgreSQL" }

    /// False when somebody else has done it meanwhile.
    ///
    /// - Parameter again: also when it is recorded as done.
    private func apply(_ migration: Migration, again: Bool) throws(DatabaseError) -> Bool {
        var done = false
        try inLockedTransaction { connection throws(DatabaseError) in
            if migration.version == 1 { try createHistory() }
            let current = try version()
            try checkNotNewer(current)
            guard current < migration.version || again else { return }
            for statement in migration.statements(settings) { try connection.query(statement) }
            try connection.query(
                """
                insert into \(schema).collector_schema_migrations (version, name) \
                values (\(migration.version), \(SQLIdentifier(name: migration.name).literal)) on conflict do nothing
                """)
            done = true
        }
        return done
    }

    private func createHistory() throws(DatabaseError) {
        let exists = try connection.query("select 1 from pg_namespace where nspname = \(schema.literal)")
        if exists.isEmpty { try connection.query("create schema if not exists \(schema)") }
        try connection.query(
            """
            create table if not exists \(schema).collector_schema_migrations (
              version integer primary key, name text not null, applied_at timestamptz not null default now()
            )
            """)
    }

    private func inLockedTransaction(_ body: (Connection) throws(DatabaseError) -> Void) throws(DatabaseError) {
        try connection.query("begin; select pg_advisory_xact_lock(\(Self.lockKey), hashtext(\(schema.literal)))")
        do throws(DatabaseError) {
            try body(connection)
        } catch {
            if connection.isUsable { _ = try? connection.query("rollback") }
            throw error
        }
        switch connection.commit() {
        case .committed: return
        case .refused(let error), .lost(let error): throw error
        }
    }

    // MARK: What the server can do

    /// Fills in `settings.timescale` and `settings.hasLZ4`. A new schema uses TimescaleDB when the database has it or can get it;
    /// an existing one stays what it is.
    private mutating func detectServer(mayCreateExtension: Bool) throws(DatabaseError) {
        let lz4 = try connection.query("select 1 from pg_settings where name = 'default_toast_compression' and 'lz4' = any(enumvals)")
        settings.hasLZ4 = !lz4.isEmpty
        settings.timescale = try installedExtension()
        if settings.timescale == nil, mayCreateExtension { try createExtension() }
        if let timescale = settings.timescale, !timescale.isCommunity {
            logger.warning("TimescaleDB runs without its Community features: no compression, retention or continuous aggregates")
        }
        if settings.timescale != nil, !mayCreateExtension, try !isHypertable() {
            logger.warning("the table traces was made without TimescaleDB and stays an ordinary table")
            settings.timescale = nil
        }
        if settings.timescale == nil, mayCreateExtension {
            logger.warning(
                "TimescaleDB is not available: using ordinary tables and views, without compression and retention",
                metadata: ["schema": "\(schema.name)"])
        }
    }

    /// Oldest version that the SQL here is written for.
    private static let extensionVersionMin = (2, 14)

    private func installedExtension() throws(DatabaseError) -> SchemaSettings.Extension? {
        let rows = try connection.query(
            """
            select n.nspname, e.extversion, coalesce(current_setting('timescaledb.license', true), '') from pg_extension e
            join pg_namespace n on n.oid = e.extnamespace where e.extname = 'timescaledb'
            """)
        guard let row = rows.first, let functions = row[0], let version = row[1] else { return nil }
        let numbers = version.split(separator: ".").prefix(2).map { Int($0) ?? 0 }
        guard numbers.count == 2, (numbers[0], numbers[1]) >= Self.extensionVersionMin else {
            throw .unsuitable("TimescaleDB \(version) is too old: 2.14 or later is needed")
        }
        return SchemaSettings.Extension(
            functions: SQLIdentifier(name: functions), version: version, isCommunity: row[2] == "timescale")
    }

    /// Tries to install TimescaleDB where the server offers it; that it cannot be is no failure. On a connection of its own: a
    /// server that has not preloaded the library closes it.
    private mutating func createExtension() throws(DatabaseError) {
        let offered = try connection.query("select 1 from pg_available_extensions where name = 'timescaledb'")
        guard !offered.isEmpty else { return }
        do throws(DatabaseError) {
            try connect().query("create extension if not exists timescaledb")
        } catch {
            logger.warning("TimescaleDB is available but cannot be created in this database", metadata: ["reason": "\(error.problem)"])
        }
        settings.timescale = try installedExtension()
    }

    private func isHypertable() throws(DatabaseError) -> Bool {
        try !connection.query(
            """
            select 1 from timescaledb_information.hypertables
            where hypertable_schema = \(schema.literal) and hypertable_name = 'traces'
            """
        ).isEmpty
    }

    /// The aggregates that must be refreshed when old rows come in.
    func continuousAggregates() throws(DatabaseError) -> [Aggregate] {
        guard try installedExtension() != nil else { return [] }
        let rows = try connection.query(
            "select view_name from timescaledb_information.continuous_aggregates where view_schema = \(schema.literal)")
        return rows.compactMap { $0[0].flatMap { Aggregate(rawValue: $0) } }
    }
}
