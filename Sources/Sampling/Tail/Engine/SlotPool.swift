/// Plain values at numbered places that are given out and taken back, in one piece of memory that grows by half.
///
/// An array would do the same with a reference count and a uniqueness check at each access; these are read and written for each span.
struct SlotPool<Element: BitwiseCopyable>: ~Copyable {
    private var base: UnsafeMutablePointer<Element>
    private var capacity: Int
    /// Places before this one have been given out at least once.
    private var used = 0
    private var free: [Int32] = []

    private static var initialCapacity: Int { 64 }

    init() {
        capacity = Self.initialCapacity
        base = .allocate(capacity: capacity)
    }

    deinit {
        base.deallocate()
    }

    /// Places that are given out.
    var count: Int { used - free.count }

    /// Bytes of memory.
    var byteCount: Int { capacity * MemoryLayout<Element>.stride + free.capacity * MemoryLayout<Int32>.stride }

    subscript(place: Int32) -> Element {
        @inline(__always)
        _read {
            precondition(contains(place))
            yield base[Int(place)]
        }
        @inline(__always)
        _modify {
            precondition(contains(place))
            yield &base[Int(place)]
        }
    }

    /// Whether the place has ever been given out since the pool was last empty.
    @inline(__always)
    func contains(_ place: Int32) -> Bool { place >= 0 && Int(place) < used }

    mutating func insert(_ element: Element) -> Int32 {
        if let place = free.popLast() {
            base[Int(place)] = element
            return place
        }
        if used == capacity { grow() }
        (base + used).initialize(to: element)
        used += 1
        return Int32(used - 1)
    }

    mutating func remove(_ place: Int32) {
        precondition(contains(place))
        free.append(place)
        // All the memory that a burst took is given back once nothing is left of it.
        if free.count == used, capacity > Self.initialCapacity { self = SlotPool() }
    }

    private mutating func grow() {
        let larger = capacity + max(capacity / 2, 1)
        precondition(larger <= Int(Int32.max))
        let moved = UnsafeMutablePointer<Element>.allocate(capacity: larger)
        moved.moveInitialize(from: base, count: used)
        base.deallocate()
        base = moved
        capacity = larger
    }
}
