import OTLPWire
import Pipeline
import Synchronization

/// Bytes of the requests that a sampler holds because of undecided traces.
final class HeldBytes: Sendable {
    private let bytes = Atomic<Int>(0)

    var count: Int { bytes.load(ordering: .relaxed) }

    fileprivate func add(_ count: Int) { bytes.wrappingAdd(count, ordering: .relaxed) }
}

/// One request of which spans wait, in any number of shards: its memory counts once, until the last of its spans is decided about.
final class HeldRequest: Sendable {
    private let bytes: Int
    private let account: HeldBytes
    private let shards = Atomic<Int>(0)

    init(bytes: Int, account: HeldBytes) {
        self.bytes = bytes
        self.account = account
    }

    fileprivate func enter() {
        if shards.wrappingAdd(1, ordering: .relaxed).oldValue == 0 { account.add(bytes) }
    }

    fileprivate func leave() {
        if shards.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { account.add(-bytes) }
    }
}

/// The requests' slices of which one shard holds spans, by number.
struct HeldRequests {
    private struct Slot {
        var slice: SpanSlice
        let request: HeldRequest
        /// Runs of spans that point here.
        var runs: Int32
    }

    private var slots: [Slot?] = []
    private var free: [Int32] = []

    var byteCount: Int { slots.capacity * MemoryLayout<Slot?>.stride + free.capacity * MemoryLayout<Int32>.stride }
    var count: Int { slots.count - free.count }

    func batch(_ place: Int32) -> TraceBatch? { slots[Int(place)]?.slice.batch }

    /// With no run yet.
    mutating func insert(_ slice: SpanSlice, _ request: HeldRequest) -> Int32 {
        request.enter()
        let slot = Slot(slice: slice, request: request, runs: 0)
        if let place = free.popLast() {
            slots[Int(place)] = slot
            return place
        }
        slots.append(slot)
        return Int32(slots.count - 1)
    }

    mutating func addRun(_ place: Int32) { slots[Int(place)]?.runs += 1 }

    /// The run's slice, and whether it was its last run: then the slice is not held any more.
    mutating func removeRun(_ place: Int32) -> (slice: SpanSlice, isLast: Bool) {
        guard var slot = slots[Int(place)] else { preconditionFailure("a run's request is held") }
        slot.runs -= 1
        guard slot.runs == 0 else {
            slots[Int(place)]?.runs = slot.runs
            return (slot.slice, false)
        }
        slot.request.leave()
        slots[Int(place)] = nil
        free.append(place)
        if free.count == slots.count {
            slots = []
            free = []
        }
        return (slot.slice, true)
    }
}
