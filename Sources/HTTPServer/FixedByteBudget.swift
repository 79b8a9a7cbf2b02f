import Synchronization

/// A budget of a fixed number of bytes.
public final class FixedByteBudget: HTTPByteBudget {
    private let free: Atomic<Int>
    private let waiting = Atomic<Bool>(false)
    private let waiters = Mutex<[@Sendable () -> Void]>([])

    public init(bytes: Int) {
        free = Atomic(bytes)
    }

    /// Bytes that may still be reserved.
    public var available: Int { free.load(ordering: .relaxed) }

    public func tryReserve(_ bytes: Int) -> Bool {
        var seen = free.load(ordering: .relaxed)
        while seen >= bytes {
            let (exchanged, original) = free.weakCompareExchange(
                expected: seen, desired: seen - bytes, ordering: .sequentiallyConsistent)
            if exchanged { return true }
            seen = original
        }
        return false
    }

    public func release(_ bytes: Int) {
        free.wrappingAdd(bytes, ordering: .sequentiallyConsistent)
        guard waiting.load(ordering: .sequentiallyConsistent) else { return }
        let notified = waiters.withLock { list in
            waiting.store(false, ordering: .sequentiallyConsistent)
            defer { list = [] }
            return list
        }
        for notify in notified { notify() }
    }

    public func whenAvailable(_ notify: @escaping @Sendable () -> Void) {
        waiters.withLock { list in
            list.append(notify)
            waiting.store(true, ordering: .sequentiallyConsistent)
        }
    }
}
