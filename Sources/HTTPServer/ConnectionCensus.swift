import Synchronization

/// Counts open connections in total and per client address, over all event loops of a listener.
final class ConnectionCensus: Sendable {
    private struct Counts {
        var total = 0
        var perAddress: [String: Int] = [:]
    }

    private let totalMax: Int
    private let perAddressMax: Int
    private let counts = Mutex(Counts())

    init(_ limits: HTTPLimits) {
        totalMax = limits.connectionsMax
        perAddressMax = limits.connectionsPerAddressMax
    }

    /// Counts a new connection in, or returns the limit it would go over.
    func enter(_ address: String) -> HTTPLimit? {
        counts.withLock { counts in
            if counts.total >= totalMax { return .connections }
            let known = counts.perAddress[address, default: 0]
            if known >= perAddressMax { return .connectionsPerAddress }
            counts.total += 1
            counts.perAddress[address] = known + 1
            return nil
        }
    }

    /// Counts a connection out that was counted in.
    func leave(_ address: String) {
        counts.withLock { counts in
            counts.total -= 1
            let left = counts.perAddress[address, default: 0] - 1
            counts.perAddress[address] = left > 0 ? left : nil
        }
    }
}
