/// Fingerprints of the requests accepted within a window, in bounded memory.
///
/// They are kept by generation, each a hash set for a quarter of the window; a generation is forgotten as a whole when its newest
/// fingerprint is older than the window, or earlier when the memory is used up. So a request is recognised for at least the window,
/// at most a quarter longer, at 16 bytes and no time stamp each. Pure: the time is passed in, as nanoseconds of a clock that does not
/// jump, negative before the process began.
struct FingerprintTable {
    private struct Generation {
        var oldest: Int64
        var newest: Int64
        var set: FingerprintSet
    }

    /// Generations per window.
    private static let generationsPerWindow = 4

    private let windowNanoseconds: Int64
    /// Fingerprints of one generation at most.
    private let generationCapacity: Int
    /// Oldest first.
    private var generations: [Generation] = []
    /// Forgotten before their time was over.
    private(set) var evictedCount = 0

    /// - Parameter bytesMax: for all sets together; 0 keeps nothing.
    init(window: Duration, bytesMax: Int) {
        let (seconds, attoseconds) = window.components
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        windowNanoseconds = overflow ? .max : nanoseconds &+ attoseconds / 1_000_000_000
        generationCapacity = FingerprintSet.capacity(ofBytes: bytesMax / (Self.generationsPerWindow + 1))
    }

    var count: Int { generations.reduce(0) { $0 + $1.set.count } }

    mutating func contains(_ fingerprint: Fingerprint, now: Int64) -> Bool {
        expire(now)
        return generations.contains { $0.set.contains(fingerprint) }
    }

    /// - Parameter time: when the request was accepted, at most `now`. Older ones than the last inserted go to its generation, so
    ///   they may stay longer than their time.
    mutating func insert(_ fingerprint: Fingerprint, at time: Int64, now: Int64) {
        guard generationCapacity > 0, now - time < windowNanoseconds else { return }
        if needsGeneration(time) {
            expire(now)
            if generations.count > Self.generationsPerWindow {
                evictedCount += generations.removeFirst().set.count
            }
            generations.append(Generation(oldest: time, newest: time, set: FingerprintSet()))
        }
        let last = generations.count - 1
        generations[last].newest = max(generations[last].newest, time)
        generations[last].set.insert(fingerprint)
    }

    private func needsGeneration(_ time: Int64) -> Bool {
        guard let last = generations.last else { return true }
        return last.set.count >= generationCapacity || time - last.oldest >= windowNanoseconds / Int64(Self.generationsPerWindow)
    }

    private mutating func expire(_ now: Int64) {
        while let first = generations.first, now - first.newest >= windowNanoseconds { generations.removeFirst() }
    }

    /// Everything kept, oldest first, in blocks of at most `blockSize` with the time of the newest in each.
    func forEachBlock<Failure: Error>(
        of blockSize: Int, _ body: (_ newest: Int64, _ fingerprints: [Fingerprint]) throws(Failure) -> Void
    ) throws(Failure) {
        for generation in generations {
            var block: [Fingerprint] = []
            for slot in 0..<generation.set.slotCount {
                guard let fingerprint = generation.set[slot: slot] else { continue }
                block.append(fingerprint)
                if block.count == blockSize {
                    try body(generation.newest, block)
                    block.removeAll(keepingCapacity: true)
                }
            }
            if !block.isEmpty { try body(generation.newest, block) }
        }
    }
}

/// A hash set of fingerprints: open addressing in one array of words, 16 bytes a slot. The fingerprints are hashes already.
struct FingerprintSet {
    private static let slotsMin = 1 << 8
    /// Full at three quarters: then an absent fingerprint is known after two to three slots on average.
    private static func isFull(_ count: Int, slots: Int) -> Bool { count >= slots / 4 * 3 }

    private var words: [UInt64] = []
    private(set) var count = 0

    /// Fingerprints that fit into `bytes` of memory; 0 when not even the smallest set does.
    static func capacity(ofBytes bytes: Int) -> Int {
        var slots = slotsMin
        guard bytes >= slots * 16 else { return 0 }
        while slots * 2 * 16 <= bytes { slots *= 2 }
        return slots / 4 * 3
    }

    func contains(_ fingerprint: Fingerprint) -> Bool {
        guard count > 0 else { return false }
        let key = Self.stored(fingerprint)
        return words[slot(of: key) * 2] != 0
    }

    mutating func insert(_ fingerprint: Fingerprint) {
        if Self.isFull(count, slots: words.count / 2) { grow() }
        let key = Self.stored(fingerprint)
        let slot = slot(of: key)
        if words[slot * 2] == 0 { count += 1 }
        words[slot * 2] = key.low
        words[slot * 2 + 1] = key.high
    }

    var slotCount: Int { words.count / 2 }

    /// As stored: never zero in the low half, which marks a free slot.
    subscript(slot slot: Int) -> Fingerprint? {
        words[slot * 2] == 0 ? nil : Fingerprint(low: words[slot * 2], high: words[slot * 2 + 1])
    }

    private static func stored(_ fingerprint: Fingerprint) -> Fingerprint {
        Fingerprint(low: fingerprint.low == 0 ? 1 : fingerprint.low, high: fingerprint.high)
    }

    /// The slot that holds the key, else the free one where it belongs.
    private func slot(of key: Fingerprint) -> Int {
        let mask = words.count / 2 - 1
        var slot = Int(truncatingIfNeeded: key.high) & mask
        while words[slot * 2] != 0, words[slot * 2] != key.low || words[slot * 2 + 1] != key.high { slot = (slot + 1) & mask }
        return slot
    }

    private mutating func grow() {
        let old = self
        words = Array(repeating: 0, count: max(words.count * 2, Self.slotsMin * 2))
        count = 0
        for slot in 0..<old.slotCount {
            if let fingerprint = old[slot: slot] { insert(fingerprint) }
        }
    }
}
