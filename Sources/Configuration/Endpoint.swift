/// An address to listen on or to ask.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address, without brackets.
    public var host: String
    /// 0 to 65,535; a listener on 0 takes a free port.
    public var port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, `[v6]:port`, or `:port` for all addresses; nil for anything else.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(digits), port <= 65_535 else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard !host.isEmpty else { return nil }
        } else if host.contains(":") {
            return nil
        }
        self.init(host: host.isEmpty ? "0.0.0.0" : host, port: port)
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// The same for a client on this machine: an address that means all of them becomes `localhost`.
    public var asSeenLocally: Endpoint {
        host == "0.0.0.0" || host == "::" ? Endpoint(host: "localhost", port: port) : self
    }
}

extension ConfigSection {
    /// `host:port`; a text of another form is a problem.
    public func endpoint(_ key: String, default fallback: Endpoint) -> Endpoint {
        let text = string(key, default: fallback.description)
        if let endpoint = Endpoint(text) { return endpoint }
        problem("must be host:port", at: key)
        return fallback
    }
}
