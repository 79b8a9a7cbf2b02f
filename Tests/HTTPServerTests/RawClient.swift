import Glibc

/// A blocking TCP client that sends and expects bytes as they are. Reads give up after ten seconds.
final class RawClient {
    struct Failed: Error {
        var what: String
    }

    struct Response {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    private let descriptor: Int32
    private var buffered: [UInt8] = []

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code != 0 { throw Failed(what: "connect") }
    }

    deinit {
        close(descriptor)
    }

    func send(_ bytes: [UInt8]) throws {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                return Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { throw Failed(what: "send") }
            offset += count
        }
    }

    func send(_ text: String) throws {
        try send(Array(text.utf8))
    }

    /// Tells the server that nothing more comes; answers can still be read.
    func shutDownOutput() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Exactly so many bytes; throws at the end of the stream.
    func read(_ count: Int) throws -> [UInt8] {
        while buffered.count < count {
            if try !fill() { throw Failed(what: "the server closed the connection") }
        }
        defer { buffered.removeFirst(count) }
        return Array(buffered.prefix(count))
    }

    /// What comes until the server closes. A reset counts as closing.
    func readToEnd() throws -> [UInt8] {
        while try fill() {}
        defer { buffered = [] }
        return buffered
    }

    /// Whether the server has closed, waiting for it.
    var isClosedByServer: Bool {
        (try? readToEnd()) != nil
    }

    private func fill() throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        if count < 0 && errno == ECONNRESET { return false }
        if count < 0 { throw Failed(what: "no answer in time") }
        buffered.append(contentsOf: chunk.prefix(count))
        return count > 0
    }

    // MARK: HTTP/1.1

    func readLine() throws -> String {
        var line: [UInt8] = []
        while true {
            line.append(contentsOf: try read(1))
            if line.suffix(2) == [13, 10] { return String(decoding: line.dropLast(2), as: UTF8.self) }
        }
    }

    /// - Parameter hasBody: false for the answer to HEAD.
    func readResponse(hasBody: Bool = true) throws -> Response {
        let status = try readLine().split(separator: " ")
        var response = Response(status: Int(status[1]) ?? 0, headers: [:], body: [])
        while case let line = try readLine(), !line.isEmpty {
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            response.headers[String(line[..<colon])] = String(line[colon...].dropFirst().drop { $0 == " " })
        }
        if hasBody, let length = response.headers["content-length"].flatMap({ Int($0) }) { response.body = try read(length) }
        return response
    }

    func post(_ path: String, _ body: String, _ headers: String = "") throws -> Response {
        try send("POST \(path) HTTP/1.1\r\nhost: x\r\ncontent-length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
        return try readResponse()
    }
}
