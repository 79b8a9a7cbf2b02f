import Pipeline

/// Brings a database file to the schema this binary knows. Safe when several processes do it at once: each migration takes
/// the write lock before it looks which one is next.
struct SQLiteMigrator {
    enum Failure: Error {
        case sqlite(SQLiteError)
        case newerSchema(Int)
    }

    /// - Returns: the migrations that were run now.
    @discardableResult
    static func migrate(_ connection: SQLiteConnection) throws(Failure) -> [SQLiteSchema.Migration] {
        var done: [SQLiteSchema.Migration] = []
        do throws(SQLiteError) {
            // Most starts find nothing to do, and need no lock for that.
            if try version(connection) == SQLiteSchema.currentVersion { return [] }
            while let migration = try runNext(connection) { done.append(migration) }
        } catch {
            connection.rollBack()
            throw .sqlite(error)
        }
        let version: Int
        do throws(SQLiteError) { version = try Self.version(connection) } catch { throw .sqlite(error) }
        if version > SQLiteSchema.currentVersion { throw .newerSchema(version) }
        return done
    }

    /// 0 for a file without our tables.
    static func version(_ connection: SQLiteConnection) throws(SQLiteError) -> Int {
        let table = "select count(*) from sqlite_schema where type = 'table' and name = 'collector_schema_migrations'"
        guard try connection.integer(table) == 1 else { return 0 }
        return try connection.integer("select coalesce(max(version), 0) from collector_schema_migrations") ?? 0
    }

    private static func runNext(_ connection: SQLiteConnection) throws(SQLiteError) -> SQLiteSchema.Migration? {
        try connection.execute("begin immediate")
        try connection.execute(
            "create table if not exists collector_schema_migrations (version integer primary key, name text, applied_at text)")
        let version = try Self.version(connection)
        guard let next = SQLiteSchema.migrations.first(where: { $0.version > version }) else {
            try connection.execute("commit")
            return nil
        }
        try connection.execute(next.sql)
        try connection.execute(
            """
            insert into collector_schema_migrations values \
            (\(next.version), '\(next.name)', strftime('%Y-%m-%d %H:%M:%f000', 'now'))
            """)
        try connection.execute("commit")
        return next
    }
}
