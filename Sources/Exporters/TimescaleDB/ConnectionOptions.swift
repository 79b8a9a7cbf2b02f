import CLibPQ

/// libpq connection parameters, in the order in which later ones win.
struct ConnectionOptions: Sendable, Equatable {
    /// `postgresql://…` or `key=value …`; nil = by `parameters` alone.
    var dsn: String?
    var parameters: [(key: String, value: String)] = []
    /// For making one connection, all hosts together.
    var connectTimeout = Duration.seconds(10)

    static func == (one: ConnectionOptions, other: ConnectionOptions) -> Bool {
        one.dsn == other.dsn && one.parameters.elementsEqual(other.parameters, by: ==) && one.connectTimeout == other.connectTimeout
    }

    /// What applies unless the user says otherwise: a peer that vanished is noticed within about 30 s, also when nothing is
    /// being sent (keepalives) and when sent data is not acknowledged (user timeout).
    private static let defaults = [
        (key: "tcp_user_timeout", value: "30000"), (key: "keepalives_idle", value: "15"), (key: "keepalives_interval", value: "5"),
        (key: "keepalives_count", value: "3"), (key: "fallback_application_name", value: "collector"),
    ]

    /// Whether libpq understands `dsn`. Its own explanation may quote the password, so there is none.
    static func isValid(dsn: String) -> Bool {
        guard let options = PQconninfoParse(dsn, nil) else { return false }
        PQconninfoFree(options)
        return true
    }

    /// Several hosts and no wish: the one that takes writes.
    private var targetsPrimary: Bool {
        let hosts = parsed("host") ?? ""
        return hosts.contains(",") && parsed("target_session_attrs") == nil
    }

    /// libpq's own `connect_timeout`, which only its blocking calls heed.
    var connectTimeoutOfDSN: Duration? {
        guard let seconds = parsed("connect_timeout").flatMap({ Int($0) }), seconds > 0 else { return nil }
        return .seconds(seconds)
    }

    /// Host and database, without credentials.
    var destination: String {
        "database \(parsed("dbname") ?? "of the user's name") on \(parsed("host") ?? "the local socket")"
    }

    /// The value of `key` in the DSN or the parameters.
    private func parsed(_ key: String) -> String? {
        if let parameter = parameters.last(where: { $0.key == key }) { return parameter.value }
        guard let dsn, let options = PQconninfoParse(dsn, nil) else { return nil }
        defer { PQconninfoFree(options) }
        var option = options
        while let keyword = option.pointee.keyword {
            if String(cString: keyword) == key { return option.pointee.val.map { String(cString: $0) } }
            option += 1
        }
        return nil
    }

    /// Calls `body` with the terminated arrays of keywords and values that `PQconnectStartParams` takes. A DSN stands in
    /// "dbname", to be expanded.
    func withParameters<Result>(
        _ body: (UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<UnsafePointer<CChar>?>) -> Result
    ) -> Result {
        var all = Self.defaults
        if targetsPrimary { all.append(("target_session_attrs", "read-write")) }
        if let dsn { all.append(("dbname", dsn)) }
        all += parameters
        all.append(("client_encoding", "UTF8"))
        var bytes: [CChar] = []
        var offsets: [(Int, Int)] = []
        for (key, value) in all {
            let start = bytes.count
            bytes += key.utf8CString
            offsets.append((start, bytes.count))
            bytes += value.utf8CString
        }
        return bytes.withUnsafeBufferPointer { bytes in
            let base = bytes.baseAddress
            let keywords = offsets.map { offset in base.map { $0 + offset.0 } } + [nil]
            let values = offsets.map { offset in base.map { $0 + offset.1 } } + [nil]
            return keywords.withUnsafeBufferPointer { keywords in
                values.withUnsafeBufferPointer { values in
                    // Both hold at least the terminator.
                    body(keywords.baseAddress.unsafelyUnwrapped, values.baseAddress.unsafelyUnwrapped)
                }
            }
        }
    }
}
