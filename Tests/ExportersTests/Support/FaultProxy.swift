import Foundation

/// A TCP relay in front of the database that breaks connections at chosen moments. One thread per connection.
final class FaultProxy: @unchecked Sendable {
    enum Fault: Equatable {
        /// The server commits, and the client never hears of it.
        case loseCommitAnswer
        /// COMMIT does not reach the server.
        case loseCommit
        /// The client is cut off; COMMIT waits in the proxy until `release`.
        case holdCommit
        /// Breaks both sides after so many bytes from the client.
        case cutAfter(Int)
        /// Nobody gets through, as while a server restarts. Stays until taken away.
        case refuse
    }

    let port: Int
    private let listener: Int32
    private let server: sockaddr_in
    private let lock = NSCondition()
    private var fault: Fault?
    private var isStopped = false
    private var isHolding = false
    private var held: Bool?
    private var hits = 0

    /// - Parameter port: the server's, on 127.0.0.1.
    init(serverPort: Int) throws {
        func address(_ port: Int) -> sockaddr_in {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            return address
        }
        server = address(serverPort)
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var own = address(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = self.listener
        let isListening = withUnsafeMutablePointer(to: &own) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 64) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRNOTAVAIL) }
        port = Int(in_port_t(bigEndian: own.sin_port))
        Thread.detachNewThread { self.acceptAll() }
    }

    var parameters: [(key: String, value: String)] { [("host", "127.0.0.1"), ("port", "\(port)")] }

    /// What to do next; all but `refuse` happen once.
    func set(_ fault: Fault?) {
        lock.withLock { self.fault = fault }
    }

    /// How many faults have happened.
    var hitCount: Int { lock.withLock { hits } }

    func waitUntilHolding() {
        lock.withLock { while !isHolding { lock.wait() } }
    }

    /// Lets the held COMMIT through, or ends its connection without it.
    func release(commit: Bool) {
        lock.withLock {
            held = commit
            lock.broadcast()
        }
    }

    func stop() {
        lock.withLock {
            isStopped = true
            held = held ?? false
            lock.broadcast()
        }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private func acceptAll() {
        while true {
            let client = accept(listener, nil, nil)
            if client < 0 { break }
            let isRefused = lock.withLock { fault == .refuse || isStopped }
            let upstream = isRefused ? -1 : connectToServer()
            guard upstream >= 0 else {
                close(client)
                continue
            }
            Thread.detachNewThread {
                self.relay(client, upstream)
                close(client)
                close(upstream)
            }
        }
        close(listener)
    }

    private func connectToServer() -> Int32 {
        let upstream = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = server
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(upstream, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result == 0 { return upstream }
        close(upstream)
        return -1
    }

    private func relay(_ client: Int32, _ upstream: Int32) {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        var sent = 0
        while true {
            var descriptors = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0), pollfd(fd: upstream, events: Int16(POLLIN), revents: 0),
            ]
            // A turn per 20 ms notices `refuse` and `stop`.
            poll(&descriptors, 2, 20)
            if lock.withLock({ fault == .refuse || isStopped }) { return }
            if descriptors[1].revents != 0 {
                let count = read(upstream, &buffer, buffer.count)
                guard count > 0, write(client, buffer, count) == count else { return }
            }
            if descriptors[0].revents != 0 {
                let count = read(client, &buffer, buffer.count)
                guard count > 0 else { return }
                let isCommit = buffer[..<count].suffix(7).elementsEqual(Array("commit".utf8) + [0])
                let fault = take(isCommit: isCommit, sent: sent + count)
                switch fault {
                case nil: guard writeAll(upstream, buffer, count) else { return }
                case .cutAfter(let limit):
                    _ = writeAll(upstream, buffer, max(0, min(count, limit - sent)))
                    return
                case .loseCommitAnswer:
                    guard writeAll(upstream, buffer, count) else { return }
                    _ = read(upstream, &buffer, buffer.count)
                    return
                case .holdCommit:
                    shutdown(client, Int32(SHUT_RDWR))
                    guard waitForRelease() else { return }
                    _ = writeAll(upstream, buffer, count)
                    _ = read(upstream, &buffer, buffer.count)
                    return
                case .loseCommit, .refuse: return
                }
                sent += count
            }
        }
    }

    /// The fault whose moment has come; it is spent by that.
    private func take(isCommit: Bool, sent: Int) -> Fault? {
        lock.withLock {
            guard let fault else { return nil }
            let isDue =
                switch fault {
                case .cutAfter(let limit): sent >= limit
                case .loseCommit, .loseCommitAnswer, .holdCommit: isCommit
                case .refuse: true
                }
            guard isDue else { return nil }
            if fault != .refuse { self.fault = nil }
            hits += 1
            return fault
        }
    }

    private func waitForRelease() -> Bool {
        lock.withLock {
            isHolding = true
            lock.broadcast()
            while held == nil { lock.wait() }
            return held ?? false
        }
    }

    private func writeAll(_ descriptor: Int32, _ bytes: [UInt8], _ count: Int) -> Bool {
        var offset = 0
        while offset < count {
            let written = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress.map { $0 + offset }, count - offset, Int32(MSG_NOSIGNAL))
            }
            guard written > 0 else { return false }
            offset += written
        }
        return true
    }
}
