import OTLPWire
import Synchronization

/// How many bytes requests may hold.
public struct MemoryLimits: Sendable, Equatable {
    /// No request is let in from here on.
    public let softBytes: Int
    /// Requests that are in may grow up to here: what they decompress and decode to.
    public let hardBytes: Int
    /// Whether a request that would not even fit alone is taken when there is room for others (it overshoots the hard limit), or
    /// refused for good.
    public let takesOversized: Bool

    public init(softBytes: Int, hardBytes: Int, takesOversized: Bool = true) {
        precondition(softBytes > 0 && softBytes <= hardBytes)
        self.softBytes = softBytes
        self.hardBytes = hardBytes
        self.takesOversized = takesOversized
    }

    /// A decompressed message, its decoded form (1.4 times as large) and some of what it came in must fit at a time.
    private static let partOfLargestMessage = 3

    /// Bytes of the largest message that can be taken: refused at the door when larger, since it would be refused for ever.
    public var messageBytesMax: Int { takesOversized ? .max : hardBytes / Self.partOfLargestMessage }
}

/// Process-wide count of the bytes that requests hold: bodies on their way in, what they decompress to, and decoded batches until
/// they are exported. Counted where memory is taken, never sampled, so a refusal is never too late.
///
/// Bodies ask (`tryReserve`) up to the soft limit and wait when there is no room, which slows the clients down. What a body turns
/// into asks (`reserveWork`) up to the hard limit before it is made; what then replaces it is charged (`charge`).
public final class MemoryBudget: ByteAccount {
    /// Changed by a reload only.
    private let limits: Mutex<MemoryLimits>
    private let soft: Atomic<Int>
    private let hard: Atomic<Int>
    private let resume: Atomic<Int>
    private let used = Atomic<Int>(0)
    private let waiterCount = Atomic<Int>(0)
    private let waiters = Mutex<[@Sendable () -> Void]>([])

    /// Waiters are woken when use falls to this part of the soft limit, not at each byte below it: fewer and fuller wake-ups.
    private static let resumeFraction = 0.9

    public init(_ limits: MemoryLimits) {
        self.limits = Mutex(limits)
        soft = Atomic(limits.softBytes)
        hard = Atomic(limits.hardBytes)
        resume = Atomic(Self.resumeBytes(limits))
    }

    /// One limit for everything.
    public convenience init(limitBytes: Int) {
        self.init(MemoryLimits(softBytes: limitBytes, hardBytes: limitBytes))
    }

    private static func resumeBytes(_ limits: MemoryLimits) -> Int { Int(Double(limits.softBytes) * resumeFraction) }

    /// The limits in force. Setting them refuses nothing that is in already.
    public var currentLimits: MemoryLimits {
        get { limits.withLock { $0 } }
        set {
            limits.withLock { $0 = newValue }
            soft.store(newValue.softBytes, ordering: .relaxed)
            hard.store(newValue.hardBytes, ordering: .relaxed)
            resume.store(Self.resumeBytes(newValue), ordering: .sequentiallyConsistent)
            if usedBytes <= Self.resumeBytes(newValue) { wake() }
        }
    }

    /// The hard limit.
    public var limitBytes: Int { hard.load(ordering: .relaxed) }

    public var usedBytes: Int { used.load(ordering: .relaxed) }

    /// Whether new requests are refused.
    public var isExhausted: Bool { usedBytes >= soft.load(ordering: .relaxed) }

    /// What a request that holds `own` bytes is told.
    public func admission(holding own: Int = 0) -> Outcome {
        usedBytes - own < soft.load(ordering: .relaxed) ? .accepted : .retryable(.memoryLimit, after: nil)
    }

    /// Reserves for a piece of a body when use is below the soft limit; the last piece may overshoot it by its own size.
    public func tryReserve(_ bytes: Int) -> Bool {
        let before = used.wrappingAdd(bytes, ordering: .relaxed).oldValue
        if before < soft.load(ordering: .relaxed) { return true }
        release(bytes)
        return false
    }

    public enum WorkRoom: Sendable, Equatable {
        /// To be released by the caller.
        case reserved
        /// Not now.
        case full
        /// Never: it is more than all that may be used.
        case neverFits
    }

    /// Reserves what a request that holds `own` bytes needs to be decompressed or decoded.
    public func reserveWork(_ bytes: Int, holding own: Int) -> WorkRoom {
        let before = used.wrappingAdd(bytes, ordering: .relaxed).oldValue
        let limit = hard.load(ordering: .relaxed)
        if before + bytes <= limit { return .reserved }
        if own + bytes > limit {
            // `before` counts the oversized request that is in already, so there is one at a time.
            let takesOversized = limits.withLock { $0.takesOversized }
            if takesOversized, before - own < soft.load(ordering: .relaxed) { return .reserved }
            release(bytes)
            return takesOversized ? .full : .neverFits
        }
        release(bytes)
        return .full
    }

    public func charge(_ bytes: Int) {
        used.wrappingAdd(bytes, ordering: .relaxed)
    }

    public func release(_ bytes: Int) {
        let after = used.wrappingSubtract(bytes, ordering: .sequentiallyConsistent).newValue
        if waiterCount.load(ordering: .sequentiallyConsistent) > 0, after <= resume.load(ordering: .relaxed) { wake() }
    }

    /// Calls `notify` once, from any thread, as soon as there is room; at once when there is now.
    public func whenAvailable(_ notify: @escaping @Sendable () -> Void) {
        waiters.withLock { $0.append(notify) }
        waiterCount.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if used.load(ordering: .sequentiallyConsistent) <= resume.load(ordering: .relaxed) { wake() }
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
