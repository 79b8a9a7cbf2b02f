import CLibPQ
import Glibc

/// One connection to PostgreSQL: the only owner of a `PGconn`. Calls block; one thread uses it at a time, `Interrupter` breaks
/// it off from another. After an error of kind `connection` it is of no use any more: make a new one.
///
/// Keeps no session state (settings are local to transactions, no prepared statements stay), so that it works through
/// PgBouncer in transaction mode.
final class Connection {
    /// Which line of history the server is on: its system identifier and timeline. Nil when it does not tell, or is a standby.
    private(set) var serverIdentity: String?
    private let handle: OpaquePointer
    private let interrupter: Interrupter
    private let notices: NoticeSink?

    /// Connects, or says why not. Refuses servers that are too old or do not store UTF-8.
    ///
    /// - Parameter onNotice: gets the server's warnings; nil drops them.
    init(
        _ options: ConnectionOptions, interrupter: Interrupter, onNotice: (@Sendable (String) -> Void)? = nil
    ) throws(DatabaseError) {
        if interrupter.isInterrupted { throw .interrupted }
        guard let handle = options.withParameters({ PQconnectStartParams($0, $1, 1) }) else {
            throw .connection("out of memory while connecting")
        }
        self.handle = handle
        self.interrupter = interrupter
        notices = onNotice.map(NoticeSink.init)
        PQsetNoticeReceiver(handle, dropNotice, nil)
        // With it the text of a refused connection names the SQLSTATE, which libpq tells in no other way.
        PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
        // All is set up: when one of these throws, `deinit` runs.
        try finishConnecting(options)
        try checkServer()
        if let notices {
            PQsetNoticeReceiver(handle, receiveNotice, Unmanaged.passUnretained(notices).toOpaque())
        }
    }

    deinit {
        interrupter.setSocket(-1)
        PQfinish(handle)
    }

    private func finishConnecting(_ options: ConnectionOptions) throws(DatabaseError) {
        let deadline = ContinuousClock.now + options.connectTimeout
        var wanted = PGRES_POLLING_WRITING
        while wanted != PGRES_POLLING_OK {
            let socket = PQsocket(handle)
            guard wanted != PGRES_POLLING_FAILED, PQstatus(handle) != CONNECTION_BAD, socket >= 0 else { throw connectionError() }
            let events = Int16(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT)
            var descriptors = [
                pollfd(fd: socket, events: events, revents: 0),
                pollfd(fd: interrupter.pollDescriptor, events: Int16(POLLIN), revents: 0),
            ]
            let left = deadline - ContinuousClock.now
            guard left > .zero else { throw .connection("the database did not answer within \(options.connectTimeout)") }
            let milliseconds = Int32(clamping: left.components.seconds * 1_000 + left.components.attoseconds / 1_000_000_000_000_000 + 1)
            if poll(&descriptors, nfds_t(descriptors.count), milliseconds) < 0, errno != EINTR {
                throw .connection("cannot wait for the database: \(String(cString: strerror(errno)))")
            }
            if interrupter.isInterrupted { throw .interrupted }
            if descriptors[0].revents != 0 { wanted = PQconnectPoll(handle) }
        }
        interrupter.setSocket(PQsocket(handle))
        PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
    }

    private func checkServer() throws(DatabaseError) {
        let version = PQserverVersion(handle)
        guard version >= TimescaleDBLimits.serverVersionMin else {
            throw .unsuitable("the server is PostgreSQL \(version / 10_000); 15 or later is needed")
        }
        let encoding = PQparameterStatus(handle, "server_encoding").map { String(cString: $0) } ?? "UTF8"
        guard encoding == "UTF8" else { throw .unsuitable("the database's encoding is \(encoding); UTF8 is needed") }
        // A server that does not let this role ask is taken as one of unknown identity.
        let identity = """
            select case when not pg_is_in_recovery() then (select system_identifier from pg_control_system())::text
            || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) end
            """
        do {
            serverIdentity = try query(identity).first?[0]
        } catch {
            guard isUsable else { throw error }
        }
    }

    /// False once the connection is lost.
    var isUsable: Bool { PQstatus(handle) == CONNECTION_OK }

    /// Its user's time is over; what is tried from now on fails.
    var isInterrupted: Bool { interrupter.isInterrupted }

    // MARK: Statements

    typealias Row = [String?]

    /// Runs SQL without parameters, several statements perhaps; rows of the last one that returns some, as text.
    @discardableResult
    func query(_ sql: String) throws(DatabaseError) -> [Row] {
        guard PQsendQuery(handle, sql) == 1 else { throw connectionError() }
        return try finish()
    }

    /// Runs one statement with text parameters.
    @discardableResult
    func query(_ sql: String, _ parameters: [[UInt8]?]) throws(DatabaseError) -> [Row] {
        // Terminated copies side by side; values hold no U+0000 (they are sanitised), and one would only cut its value.
        var bytes: [CChar] = []
        let offsets = parameters.map { parameter -> Int? in
            guard let parameter else { return nil }
            defer { bytes.append(contentsOf: parameter.map { CChar(bitPattern: $0) } + [0]) }
            return bytes.count
        }
        let sent = bytes.withUnsafeBufferPointer { bytes in
            let values = offsets.map { offset in offset.flatMap { offset in bytes.baseAddress.map { $0 + offset } } }
            return PQsendQueryParams(handle, sql, Int32(values.count), nil, values, nil, nil, 0)
        }
        guard sent == 1 else { throw connectionError() }
        return try finish()
    }

    /// COMMIT. `lost` when the connection broke before the answer came: the transaction may be there or not.
    enum CommitResult { case committed, lost(DatabaseError), refused(DatabaseError) }

    func commit() -> CommitResult {
        guard PQsendQuery(handle, "commit") == 1 else { return .lost(connectionError()) }
        var committed = false
        var failure: DatabaseError?
        while let result = PQgetResult(handle) {
            defer { PQclear(result) }
            // The answer to COMMIT in a transaction that had failed is ROLLBACK, and no error.
            if PQresultStatus(result) == PGRES_COMMAND_OK { committed = String(cString: PQcmdStatus(result)) == "COMMIT" }
            if failure == nil { failure = self.failure(result) }
        }
        if committed, failure == nil { return .committed }
        let error = failure ?? .connection("the transaction was rolled back")
        return isUsable ? .refused(error) : .lost(error)
    }

    // MARK: COPY

    /// Runs SQL whose last statement is `COPY … FROM STDIN`; returns the rows of the statement before it that returned some.
    func startCopy(_ sql: String) throws(DatabaseError) -> [Row] {
        guard PQsendQuery(handle, sql) == 1 else { throw connectionError() }
        var rows: [Row] = []
        while let result = PQgetResult(handle) {
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_COPY_IN: return rows
            case PGRES_TUPLES_OK: rows = Self.rows(result)
            default:
                guard let failure = failure(result) else { continue }
                _ = try? finish()
                throw failure
            }
        }
        throw connectionError()
    }

    func sendCopy(_ bytes: UnsafeRawBufferPointer) throws(DatabaseError) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        guard PQputCopyData(handle, base.assumingMemoryBound(to: CChar.self), Int32(bytes.count)) == 1 else { throw sendError() }
    }

    func endCopy() throws(DatabaseError) {
        guard PQputCopyEnd(handle, nil) == 1 else { throw sendError() }
        try finish()
    }

    // MARK: Results

    /// Reads all results; throws the first error.
    @discardableResult
    private func finish() throws(DatabaseError) -> [Row] {
        var rows: [Row] = []
        var failure: DatabaseError?
        while let result = PQgetResult(handle) {
            defer { PQclear(result) }
            if PQresultStatus(result) == PGRES_TUPLES_OK { rows = Self.rows(result) }
            if failure == nil { failure = self.failure(result) }
        }
        if let failure { throw failure }
        guard isUsable else { throw connectionError() }
        return rows
    }

    private static func rows(_ result: OpaquePointer) -> [Row] {
        let columns = PQnfields(result)
        return (0..<PQntuples(result)).map { row in
            (0..<columns).map { PQgetisnull(result, row, $0) == 1 ? nil : String(cString: PQgetvalue(result, row, $0)) }
        }
    }

    private func failure(_ result: OpaquePointer) -> DatabaseError? {
        switch PQresultStatus(result) {
        case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE: break
        default: return nil
        }
        if interrupter.isInterrupted { return .interrupted }
        guard let state = Self.field(result, Diagnostic.sqlState) else { return connectionError() }
        if SQLStateClass(state) == .data {
            let places = [("table", Diagnostic.table), ("column", Diagnostic.column), ("constraint", Diagnostic.constraint)]
            let named = places.compactMap { name, code in Self.field(result, code).map { "\(name) \($0)" } }
            return .server(sqlState: state, "the database refused rows" + (named.isEmpty ? "" : ": " + named.joined(separator: ", ")))
        }
        return .server(sqlState: state, Self.shortened(Self.field(result, Diagnostic.message) ?? "error without a message"))
    }

    private static func field(_ result: OpaquePointer, _ code: Int32) -> String? {
        PQresultErrorField(result, code).map { String(cString: $0) }
    }

    /// Why sending failed: what the server said before it hung up, when it did.
    private func sendError() -> DatabaseError {
        do {
            try finish()
        } catch {
            return error
        }
        return connectionError()
    }

    /// libpq's own text, first line; a refused connection with its SQLSTATE when there is one.
    private func connectionError() -> DatabaseError {
        if interrupter.isInterrupted { return .interrupted }
        let text = String(cString: PQerrorMessage(handle))
        let line = Self.shortened(String(text.split(separator: "\n").first ?? "the connection was lost"))
        // "FATAL:  28P01: password authentication failed for user …"
        for part in line.split(separator: " ") where part.utf8.count == 6 && part.hasSuffix(":") {
            let state = part.dropLast()
            if state.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }),
                state.first?.isNumber == true || state.first == "X"
            {
                return .server(sqlState: String(state), line)
            }
        }
        return .connection(line)
    }

    private static func shortened(_ text: String) -> String {
        String(text.prefix(TimescaleDBLimits.messageCharactersMax))
    }
}

/// Fields of an error report (postgres_ext.h, whose character macros Swift does not import).
private enum Diagnostic {
    static let sqlState = Int32(UInt8(ascii: "C"))
    static let message = Int32(UInt8(ascii: "M"))
    static let table = Int32(UInt8(ascii: "t"))
    static let column = Int32(UInt8(ascii: "c"))
    static let constraint = Int32(UInt8(ascii: "n"))
    /// Not translated.
    static let severity = Int32(UInt8(ascii: "V"))
}

/// Where a connection's warnings go.
private final class NoticeSink {
    let receive: @Sendable (String) -> Void

    init(_ receive: @escaping @Sendable (String) -> Void) {
        self.receive = receive
    }
}

private func dropNotice(context: UnsafeMutableRawPointer?, result: OpaquePointer?) {}

private func receiveNotice(context: UnsafeMutableRawPointer?, result: OpaquePointer?) {
    guard let context, let text = PQresultErrorField(result, Diagnostic.message) else { return }
    guard let severity = PQresultErrorField(result, Diagnostic.severity), String(cString: severity) == "WARNING" else { return }
    Unmanaged<NoticeSink>.fromOpaque(context).takeUnretainedValue().receive(String(cString: text))
}
