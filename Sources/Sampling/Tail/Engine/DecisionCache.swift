import OTLPWire

/// Decisions about traces that are gone, so that late spans share their fate. Kept ones exactly, least recently used go first;
/// dropped ones by a 64-bit hash in two generations.
struct DecisionCache {
    struct Kept: Equatable {
        let policy: UInt16
        let adjustedCount: Double
    }

    private struct Entry {
        let id: TraceID
        var kept: Kept
        var newer: Int32
        var older: Int32
    }

    private var keptMax: Int
    private var droppedMax: Int
    private let seed: UInt64
    private var places: [TraceID: Int32] = [:]
    private var entries: [Entry] = []
    private var newest: Int32 = -1
    private var oldest: Int32 = -1
    /// Each holds at most half of `droppedMax`; the older one is forgotten when the younger is full.
    private var young = DroppedSet()
    private var old = DroppedSet()

    init(keptMax: Int, droppedMax: Int, seed: UInt64) {
        self.keptMax = min(keptMax, Int(Int32.max) - 1)
        self.droppedMax = droppedMax
        self.seed = seed
    }

    var keptCount: Int { places.count }

    /// Memory, the dictionary's estimated from above.
    var byteCount: Int {
        entries.capacity * MemoryLayout<Entry>.stride + places.capacity * Self.bytesPerPlace + young.byteCount + old.byteCount
    }

    /// Key, value and their part of the bitmap, at the load that a dictionary has at least.
    private static let bytesPerPlace = 2 * (MemoryLayout<TraceID>.stride + MemoryLayout<Int32>.stride)

    /// Makes the cache large enough for so many more.
    mutating func makeRoom(kept: Int, dropped: Int) {
        keptMax = min(max(keptMax, keptCount + kept), Int(Int32.max) - 1)
        // Half of it is in either generation.
        droppedMax = max(droppedMax, 2 * (young.count + dropped))
    }

    /// Everything that is remembered, what will be forgotten first in front.
    struct Contents {
        var kept: [(id: TraceID, kept: Kept)] = []
        /// Keyed hashes of trace ids, but for their lowest bit.
        var dropped: [UInt64] = []
    }

    var contents: Contents {
        var contents = Contents(dropped: old.values + young.values)
        var place = oldest
        while place >= 0 {
            let entry = entries[Int(place)]
            contents.kept.append((entry.id, entry.kept))
            place = entry.newer
        }
        return contents
    }

    mutating func insert(_ contents: Contents) {
        for entry in contents.kept { insertKept(entry.id, entry.kept) }
        for hash in contents.dropped { insertDropped(hash: hash) }
    }

    mutating func insertKept(_ id: TraceID, _ kept: Kept) {
        guard keptMax > 0 else { return }
        if let place = places[id] {
            entries[Int(place)].kept = kept
            return touch(place)
        }
        if entries.count < keptMax {
            entries.append(Entry(id: id, kept: kept, newer: -1, older: -1))
            places[id] = Int32(entries.count - 1)
            return linkNewest(Int32(entries.count - 1))
        }
        let place = oldest
        unlink(place)
        places[entries[Int(place)].id] = nil
        entries[Int(place)] = Entry(id: id, kept: kept, newer: -1, older: -1)
        places[id] = place
        linkNewest(place)
    }

    mutating func kept(_ id: TraceID) -> Kept? {
        guard let place = places[id] else { return nil }
        touch(place)
        return entries[Int(place)].kept
    }

    mutating func insertDropped(_ id: TraceID) { insertDropped(hash: KeyedHash.of(id, seed: seed)) }

    private mutating func insertDropped(hash: UInt64) {
        guard droppedMax > 0 else { return }
        if young.count >= max(droppedMax / 2, 1) {
            old = young
            young = DroppedSet()
        }
        young.insert(hash)
    }

    func isDropped(_ id: TraceID) -> Bool {
        guard droppedMax > 0 else { return false }
        let hash = KeyedHash.of(id, seed: seed)
        return young.contains(hash) || old.contains(hash)
    }

    private mutating func touch(_ place: Int32) {
        guard place != newest else { return }
        unlink(place)
        linkNewest(place)
    }

    private mutating func unlink(_ place: Int32) {
        let entry = entries[Int(place)]
        if entry.newer >= 0 { entries[Int(entry.newer)].older = entry.older } else { newest = entry.older }
        if entry.older >= 0 { entries[Int(entry.older)].newer = entry.newer } else { oldest = entry.newer }
    }

    private mutating func linkNewest(_ place: Int32) {
        entries[Int(place)].newer = -1
        entries[Int(place)].older = newest
        if newest >= 0 { entries[Int(newest)].newer = place }
        newest = place
        if oldest < 0 { oldest = place }
    }
}

/// Open addressing with 64-bit hashes as keys; 0 marks a free place.
private struct DroppedSet {
    private var slots: [UInt64] = []
    private(set) var count = 0

    var byteCount: Int { slots.capacity * MemoryLayout<UInt64>.stride }

    var values: [UInt64] { slots.filter { $0 != 0 } }

    func contains(_ hash: UInt64) -> Bool {
        guard !slots.isEmpty else { return false }
        let wanted = hash | 1
        var place = Int(truncatingIfNeeded: hash >> 1) & (slots.count - 1)
        while slots[place] != 0 {
            if slots[place] == wanted { return true }
            place = (place + 1) & (slots.count - 1)
        }
        return false
    }

    mutating func insert(_ hash: UInt64) {
        if (count + 1) * 4 > slots.count * 3 { grow() }
        place(hash | 1, from: hash)
    }

    private mutating func place(_ value: UInt64, from hash: UInt64) {
        var place = Int(truncatingIfNeeded: hash >> 1) & (slots.count - 1)
        while slots[place] != 0 {
            if slots[place] == value { return }
            place = (place + 1) & (slots.count - 1)
        }
        slots[place] = value
        count += 1
    }

    private mutating func grow() {
        let before = slots
        slots = Array(repeating: 0, count: max(before.count * 2, 64))
        count = 0
        for value in before where value != 0 { place(value, from: value) }
    }
}
