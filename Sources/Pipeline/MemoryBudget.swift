import OTLPWire
import Synchronization

/// Process-wide count of the bytes that requests hold: bodies on their way in and decoded batches until they are exported.
///
/// Bodies ask (`tryReserve`) and wait when there is no room, which slows the clients down; what is decoded is charged
/// (`charge`), because it replaces a body that had been admitted.
public final class MemoryBudget: ByteAccount {
    public let limitBytes: Int
    private let used = Atomic<Int>(0)
    private let waiterCount = Atomic<Int>(0)
    private let waiters = Mutex<[@Sendable () -> Void]>([])

    /// Waiters are woken when use falls to this part of the limit, not at each byte below it: fewer and fuller wake-ups.
    private static let resumeFraction = 0.9
    private let resumeBytes: Int

    public init(limitBytes: Int) {
        precondition(limitBytes > 0)
        self.limitBytes = limitBytes
        resumeBytes = Int(Double(limitBytes) * Self.resumeFraction)
    }

    public var usedBytes: Int { used.load(ordering: .relaxed) }

    public var isExhausted: Bool { usedBytes >= limitBytes }

    /// Reserves when use is below the limit. One request may overshoot it by its own size: refusing a body that is larger
    /// than the rest would starve it.
    public func tryReserve(_ bytes: Int) -> Bool {
        let before = used.wrappingAdd(bytes, ordering: .relaxed).oldValue
        if before < limitBytes { return true }
        release(bytes)
        return false
    }

    public func charge(_ bytes: Int) {
        used.wrappingAdd(bytes, ordering: .relaxed)
    }

    public func release(_ bytes: Int) {
        let after = used.wrappingSubtract(bytes, ordering: .sequentiallyConsistent).newValue
        if after <= resumeBytes, waiterCount.load(ordering: .sequentiallyConsistent) > 0 { wake() }
    }

    /// Calls `notify` once, from any thread, as soon as there is room; at once when there is now.
    public func whenAvailable(_ notify: @escaping @Sendable () -> Void) {
        waiters.withLock { $0.append(notify) }
        waiterCount.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if used.load(ordering: .sequentiallyConsistent) <= resumeBytes { wake() }
    }

    private func wake() {
        let ready = waiters.withLock { waiters in
            defer { waiters.removeAll() }
            waiterCount.store(0, ordering: .sequentiallyConsistent)
            return waiters
        }
        for notify in ready { notify() }
    }
}
