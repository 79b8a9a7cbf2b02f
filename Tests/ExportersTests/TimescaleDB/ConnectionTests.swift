import Foundation
import Pipeline
import Testing

@testable import Exporters

/// A port that takes connections and never says anything.
private final class SilentServer {
    let port: Int
    private let listener: Int32

    init() throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = self.listener
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 8) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRNOTAVAIL) }
        port = Int(in_port_t(bigEndian: address.sin_port))
    }

    deinit { close(listener) }
}

@Suite struct ConnectionTests {
    private func options(port: Int, timeout: Duration) -> ConnectionOptions {
        ConnectionOptions(parameters: [("host", "127.0.0.1"), ("port", "\(port)"), ("sslmode", "disable")], connectTimeout: timeout)
    }

    @Test func connectingEndsAtItsTimeLimit() throws {
        let server = try SilentServer()
        let start = ContinuousClock.now
        #expect {
            _ = try Connection(options(port: server.port, timeout: .milliseconds(100)), interrupter: Interrupter())
        } throws: { error in
            (error as? DatabaseError)?.problem.kind == "connection"
        }
        #expect(ContinuousClock.now - start >= .milliseconds(100))
        #expect(ContinuousClock.now - start < .seconds(10))
    }

    @Test func connectingCanBeBrokenOff() throws {
        let server = try SilentServer()
        let interrupter = Interrupter()
        let breaker = BlockingThread { interrupter.interrupt() }
        #expect(throws: DatabaseError.interrupted) {
            _ = try Connection(options(port: server.port, timeout: .seconds(600)), interrupter: interrupter)
        }
        breaker.join()
        #expect(throws: DatabaseError.interrupted) {
            _ = try Connection(options(port: server.port, timeout: .seconds(600)), interrupter: interrupter)
        }
    }

    @Test func aClosedPortIsAConnectionProblem() throws {
        let port = try SilentServer().port
        #expect {
            _ = try Connection(options(port: port, timeout: .seconds(5)), interrupter: Interrupter())
        } throws: { error in
            (error as? DatabaseError)?.problem.kind == "connection"
        }
    }

    @Test func severalHostsMeanThePrimaryUnlessSaidOtherwise() {
        func keywords(_ options: ConnectionOptions) -> [String: String] {
            options.withParameters { keywords, values in
                var found: [String: String] = [:]
                var index = 0
                while let keyword = keywords[index], let value = values[index] {
                    found[String(cString: keyword)] = String(cString: value)
                    index += 1
                }
                return found
            }
        }
        #expect(keywords(ConnectionOptions(dsn: "postgresql://a,b/x"))["target_session_attrs"] == "read-write")
        #expect(keywords(ConnectionOptions(dsn: "postgresql://a/x"))["target_session_attrs"] == nil)
        #expect(keywords(ConnectionOptions(dsn: "postgresql://a,b/x?target_session_attrs=any"))["target_session_attrs"] == nil)
        #expect(keywords(ConnectionOptions(dsn: "postgresql://a/x"))["dbname"] == "postgresql://a/x")
        #expect(keywords(ConnectionOptions(dsn: "postgresql://a/x"))["client_encoding"] == "UTF8")
    }
}
