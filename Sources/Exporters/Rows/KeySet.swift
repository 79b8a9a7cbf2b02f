import Glibc

/// Finds repeated keys among the members of a JSON object while they are written, also of objects inside objects.
///
/// A hash table over the keys' text in the output. All objects of a column share it: a slot names its object by a number
/// that is never used again, so opening an object and starting over cost nothing. Seeded, so that nobody can choose keys that
/// collide.
struct KeySet: ~Copyable {
    struct Slot {
        var object: UInt32 = 0
        var hash: UInt32 = 0
        /// Where the key's JSON text stands in the output.
        var start = 0
        var count = 0
    }

    /// Slots at rest: 6 KiB hold the keys of an ordinary span.
    static let slotsMin = 256
    /// Larger tables are given back after the column that needed them.
    static let slotsKept = 16 * 1024

    private var slots: UnsafeMutablePointer<Slot>
    private var mask: Int
    private var used = 0
    /// Slots of objects with smaller numbers are free.
    private var oldestObject: UInt32 = 1
    private var lastObject: UInt32 = 0
    private let seed = UInt64.random(in: .min ... .max)
    private let secret = UInt64.random(in: .min ... .max) | 1

    init() {
        slots = Self.makeSlots(Self.slotsMin)
        mask = Self.slotsMin - 1
    }

    deinit {
        slots.deallocate()
    }

    /// Forgets everything.
    mutating func startOver() {
        used = 0
        oldestObject = lastObject &+ 1
        if mask >= Self.slotsKept || lastObject > UInt32.max / 2 {
            slots.deallocate()
            slots = Self.makeSlots(Self.slotsMin)
            mask = Self.slotsMin - 1
            oldestObject = 1
            lastObject = 0
        }
    }

    /// A number for an object whose keys follow.
    @inline(__always)
    mutating func openObject() -> UInt32 {
        lastObject &+= 1
        return lastObject
    }

    /// Adds the key that stands at `start` in `output`; false when the object has it already.
    @inline(__always)
    mutating func insert(object: UInt32, start: Int, count: Int, in output: UnsafeRawPointer) -> Bool {
        if used * 2 > mask { grow() }
        let hash = self.hash(output + start, count)
        var index = Int(hash) & mask
        while slots[index].object >= oldestObject {
            let slot = slots[index]
            if slot.object == object, slot.hash == hash, slot.count == count, memcmp(output + slot.start, output + start, count) == 0 {
                return false
            }
            index = (index &+ 1) & mask
        }
        slots[index] = Slot(object: object, hash: hash, start: start, count: count)
        used &+= 1
        return true
    }

    @inline(__always)
    private func hash(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt32 {
        var state = seed ^ UInt64(truncatingIfNeeded: count)
        var position = 0
        while position &+ 8 <= count {
            state = mixed(state ^ bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            position &+= 8
        }
        var rest: UInt64 = 0
        while position < count {
            rest = rest << 8 | UInt64(bytes.load(fromByteOffset: position, as: UInt8.self))
            position &+= 1
        }
        state = mixed(state ^ rest)
        return UInt32(truncatingIfNeeded: state ^ state >> 32)
    }

    @inline(__always)
    private func mixed(_ value: UInt64) -> UInt64 {
        let (high, low) = value.multipliedFullWidth(by: secret)
        return high ^ low ^ seed
    }

    @inline(never)
    private mutating func grow() {
        let old = slots
        let oldCount = mask + 1
        slots = Self.makeSlots(oldCount * 4)
        mask = oldCount * 4 - 1
        for slot in UnsafeBufferPointer(start: old, count: oldCount) where slot.object >= oldestObject {
            var index = Int(slot.hash) & mask
            while slots[index].object >= oldestObject { index = (index + 1) & mask }
            slots[index] = slot
        }
        old.deallocate()
    }

    private static func makeSlots(_ count: Int) -> UnsafeMutablePointer<Slot> {
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: count)
        slots.initialize(repeating: Slot(), count: count)
        return slots
    }
}
