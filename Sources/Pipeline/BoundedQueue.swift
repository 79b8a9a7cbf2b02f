import Glibc

/// First-in first-out queue between threads: `push` never waits and hands back what does not fit; `pop` waits.
///
/// A mutex and a condition variable rather than a stream: consumers are Dispatch workers in blocking calls to a database,
/// and a push costs tens of nanoseconds.
public final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
    public let capacity: Int
    private let lock = ConditionLock()
    private var elements: [Element?]
    private var head = 0
    private var stored = 0
    private var isClosed = false

    public init(capacity: Int) {
        precondition(capacity > 0)
        self.capacity = capacity
        elements = Array(repeating: nil, count: capacity)
    }

    public var count: Int { lock.withLock { stored } }
    public var isFull: Bool { lock.withLock { stored >= capacity } }

    /// Returns the element when the queue is full or closed, nil when it was taken.
    public func push(_ element: Element) -> Element? {
        lock.withLock {
            guard stored < capacity, !isClosed else { return element }
            elements[(head + stored) % capacity] = element
            stored += 1
            lock.signal()
            return nil
        }
    }

    /// The oldest element; waits for one. Nil once the queue is closed and empty, or at `deadline`.
    public func pop(until deadline: ContinuousClock.Instant? = nil) -> Element? {
        lock.withLock {
            while stored == 0 {
                if isClosed || !lock.wait(until: deadline) { break }
            }
            guard stored > 0 else { return nil }
            defer {
                elements[head] = nil
                head = (head + 1) % capacity
                stored -= 1
            }
            return elements[head]
        }
    }

    /// Refuses further elements; what is queued can still be popped.
    public func close() {
        lock.withLock {
            isClosed = true
            lock.broadcast()
        }
    }
}
