import OTLPWire

/// The places of pending traces by their ids: open addressing with linear probing over a keyed hash, so that nobody outside can choose
/// ids that collide. Holds 4 bytes per slot; the ids themselves are in the pool of traces.
struct TraceTable: ~Copyable {
    /// Place of a trace, or a marker.
    private var slots: UnsafeMutablePointer<Int32>
    private var capacity: Int
    private(set) var count = 0
    /// Slots that were in use: searches go on past them.
    private var graves = 0

    private static let empty: Int32 = -1
    private static let grave: Int32 = -2
    private static let initialCapacity = 64

    init() {
        capacity = Self.initialCapacity
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Self.empty, count: capacity)
    }

    deinit {
        slots.deallocate()
    }

    var byteCount: Int { capacity * MemoryLayout<Int32>.stride }

    /// - Parameter isWanted: whether the trace at this place is the one that is looked for.
    @inline(__always)
    func find(_ hash: UInt64, _ isWanted: (Int32) -> Bool) -> Int32? {
        var index = Int(truncatingIfNeeded: hash) & (capacity - 1)
        while true {
            let place = slots[index]
            if place == Self.empty { return nil }
            if place >= 0, isWanted(place) { return place }
            index = (index + 1) & (capacity - 1)
        }
    }

    /// The trace must not be in the table yet.
    ///
    /// - Parameter hash: of the trace at a place; asked for all of them when the table grows.
    mutating func insert(_ place: Int32, hash ownHash: UInt64, hash: (Int32) -> UInt64) {
        // At most three quarters full, graves included.
        if (count + graves + 1) * 4 > capacity * 3 { rebuild(for: count + 1, hash) }
        put(place, ownHash)
        count += 1
    }

    private mutating func put(_ place: Int32, _ hash: UInt64) {
        var index = Int(truncatingIfNeeded: hash) & (capacity - 1)
        while slots[index] >= 0 { index = (index + 1) & (capacity - 1) }
        if slots[index] == Self.grave { graves -= 1 }
        slots[index] = place
    }

    mutating func remove(_ place: Int32, hash: UInt64) {
        var index = Int(truncatingIfNeeded: hash) & (capacity - 1)
        while slots[index] != place {
            precondition(slots[index] != Self.empty, "a trace that is removed is in the table")
            index = (index + 1) & (capacity - 1)
        }
        // No search needs to go on from the last of a run.
        let isLast = slots[(index + 1) & (capacity - 1)] == Self.empty
        slots[index] = isLast ? Self.empty : Self.grave
        if !isLast { graves += 1 }
        count -= 1
        if count == 0, capacity > Self.initialCapacity { self = TraceTable() }
    }

    private mutating func rebuild(for wanted: Int, _ hash: (Int32) -> UInt64) {
        var larger = Self.initialCapacity
        while wanted * 2 > larger { larger *= 2 }
        let before = UnsafeMutableBufferPointer(start: slots, count: capacity)
        slots = .allocate(capacity: larger)
        slots.initialize(repeating: Self.empty, count: larger)
        capacity = larger
        graves = 0
        for place in before where place >= 0 { put(place, hash(place)) }
        before.deallocate()
    }
}
