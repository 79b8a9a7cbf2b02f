import CSQLite
import Glibc
import OTLPWire

/// A result code of SQLite with the library's sentence for it. Never holds bound values.
struct SQLiteError: Error, Equatable {
    /// Extended result code, https://www.sqlite.org/rescode.html
    let code: Int32
    let message: String

    /// What is reported when the file system gives no shared memory, which the WAL journal needs.
    static let noSharedMemory = SQLITE_IOERR | (18 << 8)  // SQLITE_IOERR_SHMOPEN, a macro Swift cannot read

    var primaryCode: Int32 { code & 0xFF }

    /// Whether the row's values are at fault, so that leaving the row out lets the others pass.
    var isAboutData: Bool {
        primaryCode == SQLITE_TOOBIG || primaryCode == SQLITE_CONSTRAINT || primaryCode == SQLITE_MISMATCH
    }
}

/// One open database file. Used by one thread at a time: the library's own locks are off.
final class SQLiteConnection {
    fileprivate let handle: OpaquePointer

    /// Makes a missing file readable for its owner and group only: prompts will be in it. SQLite gives its own files beside it the
    /// same mode. Never opens an existing one, since closing it would drop this process's locks; what fails here, opening tells.
    private static func create(_ path: String) {
        // SQLite's names for databases without a file.
        if path.isEmpty || path == ":memory:" { return }
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Opens for reading and writing, creating the file when it is missing (not its directory).
    init(path: String) throws(SQLiteError) {
        Self.create(path)
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nil)
        guard let opened else { throw SQLiteError(code: SQLITE_NOMEM, message: "out of memory") }
        handle = opened
        sqlite3_extended_result_codes(handle, 1)
        guard code == SQLITE_OK else { throw error(code) }
        // Without the permission to write, SQLite opens for reading and says so only at the first write.
        guard sqlite3_db_readonly(handle, "main") == 0 else {
            throw SQLiteError(code: SQLITE_READONLY, message: "no permission to write")
        }
    }

    deinit {
        // Statements keep the connection alive, so none is left open here.
        sqlite3_close_v2(handle)
    }

    /// Runs statements that return nothing of interest.
    func execute(_ sql: String) throws(SQLiteError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw error(code) }
    }

    /// The first column of the first row, if there is one.
    func integer(_ sql: String) throws(SQLiteError) -> Int? {
        let statement = try SQLiteStatement(self, sql)
        return try statement.step() ? Int(statement.integer(0)) : nil
    }

    func setBusyTimeout(milliseconds: Int32) { sqlite3_busy_timeout(handle, milliseconds) }

    /// Rows inserted, changed or deleted by the last statement.
    var changes: Int { Int(sqlite3_changes64(handle)) }

    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    /// Ends an open transaction without its effects. Some errors have ended it already; a rollback itself cannot fail.
    func rollBack() {
        if isInTransaction { sqlite3_exec(handle, "rollback", nil, nil, nil) }
    }

    /// Whether the file was deleted or replaced while it is open: what is written now nobody would find.
    var fileIsGone: Bool {
        var moved: Int32 = 0
        return sqlite3_file_control(handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0
    }

    fileprivate func error(_ code: Int32) -> SQLiteError {
        let extended = sqlite3_extended_errcode(handle)
        let isAboutThis = extended & 0xFF == code & 0xFF
        // The connection's own sentence names tables and columns; the general one is better for the rest.
        let own = (code & 0xFF == SQLITE_ERROR || code & 0xFF == SQLITE_CONSTRAINT) && isAboutThis
        let text = own ? sqlite3_errmsg(handle) : sqlite3_errstr(code)
        return SQLiteError(code: isAboutThis ? extended : code, message: text.map { String(cString: $0) } ?? "error \(code)")
    }
}

/// A prepared statement. Bound bytes are not copied: they must stay where they are until `step` has returned, or the
/// parameter is bound anew.
final class SQLiteStatement {
    private let connection: SQLiteConnection
    private let handle: OpaquePointer

    init(_ connection: SQLiteConnection, _ sql: String) throws(SQLiteError) {
        self.connection = connection
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(connection.handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw connection.error(code) }
        handle = prepared
    }

    deinit {
        sqlite3_finalize(handle)
    }

    /// Binds text in place. Parameters count from 1.
    @inline(__always)
    func bind(_ index: Int32, text: WireBytes) throws(SQLiteError) {
        // A null pointer would bind null instead of the empty text.
        let start = text.baseAddress ?? UnsafeRawPointer(StaticString("").utf8Start)
        let characters = start.assumingMemoryBound(to: CChar.self)
        try check(sqlite3_bind_text64(handle, index, characters, UInt64(text.count), nil, UInt8(SQLITE_UTF8)))
    }

    /// Binds a copy of text, which stays bound until it is replaced.
    func bind(_ index: Int32, copyOf text: [UInt8]) throws(SQLiteError) {
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let code = text.withUnsafeBytes { bytes in
            let start = bytes.baseAddress ?? UnsafeRawPointer(StaticString("").utf8Start)
            let characters = start.assumingMemoryBound(to: CChar.self)
            return sqlite3_bind_text64(handle, index, characters, UInt64(bytes.count), transient, UInt8(SQLITE_UTF8))
        }
        try check(code)
    }

    @inline(__always)
    func bind(_ index: Int32, _ value: Int64) throws(SQLiteError) {
        try check(sqlite3_bind_int64(handle, index, value))
    }

    /// Not-a-number becomes null.
    @inline(__always)
    func bind(_ index: Int32, _ value: Double) throws(SQLiteError) {
        try check(sqlite3_bind_double(handle, index, value))
    }

    @inline(__always)
    func bindNull(_ index: Int32) throws(SQLiteError) {
        try check(sqlite3_bind_null(handle, index))
    }

    /// Runs to the next row; false when there is none. A statement that fails or ends is ready to be run again.
    @inline(__always)
    func step() throws(SQLiteError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        if code == SQLITE_DONE {
            sqlite3_reset(handle)
            return false
        }
        let error = connection.error(code)
        sqlite3_reset(handle)
        throw error
    }

    /// Runs a statement that returns no rows, or whose rows do not matter.
    @inline(__always)
    func run() throws(SQLiteError) {
        while try step() {}
    }

    func reset() { sqlite3_reset(handle) }

    /// Unbinds everything, so that no parameter points to memory that is gone.
    func clearBindings() { sqlite3_clear_bindings(handle) }

    /// Columns count from 0.
    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func text(_ column: Int32) -> String? { sqlite3_column_text(handle, column).map { String(cString: $0) } }

    @inline(__always)
    private func check(_ code: Int32) throws(SQLiteError) {
        if code != SQLITE_OK { throw connection.error(code) }
    }
}
