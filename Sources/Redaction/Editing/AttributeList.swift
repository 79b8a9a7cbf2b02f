import OTLPWire

/// The attributes of one message, opened for changes: read once, changed in memory of its own, written out when something has
/// changed. Used by one thread at a time.
///
/// What is not changed is never copied before it is written, and then in runs. New values lie in `ValueMemory`, so an entry may refer
/// to them, to the request and to the configuration alike. A key that was sent twice is two entries: changes meet both, so that none
/// slips through; reading finds the first, as the Go collector's maps do.
final class AttributeList {
    /// Unchecked, here and below: one thread, and no access lasts while another is made.
    @exclusivity(unchecked) private(set) var entries: [AttributeEntry] = []
    @exclusivity(unchecked) private(set) var isChanged = false
    @exclusivity(unchecked) private var memory = ValueMemory()
    @exclusivity(unchecked) private var value = OutputBuffer()

    /// Entries that stay allocated after a message of many.
    private static let retainedEntriesMax = 4096

    /// Opens fields number `field` of `message`, which must stay where it is until `write`.
    func open(_ message: WireBytes, field: UInt32) {
        entries.removeAll(keepingCapacity: true)
        memory.removeAll()
        isChanged = false
        AttributeEntry.append(message, field: field, to: &entries)
    }

    /// Gives back what large messages made it grow to.
    func shrink() {
        if entries.capacity > Self.retainedEntriesMax { entries = [] }
        entries.removeAll(keepingCapacity: true)
        memory.removeAll()
        value.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
    }

    // MARK: Reading

    @inline(__always)
    func isPresent(_ index: Int) -> Bool {
        entries[index].state == .kept || entries[index].state == .changed
    }

    /// The place of the next attribute with this key, from `start` on.
    @inline(__always)
    func index(of key: WireBytes, from start: Int = 0) -> Int? {
        entries.withUnsafeBufferPointer { entries in
            var index = start
            while index < entries.count {
                let state = entries[index].state
                if entries[index].key.equals(key), state == .kept || state == .changed { return index }
                index &+= 1
            }
            return nil
        }
    }

    /// The encoded value of the first attribute with this key.
    func value(of key: WireBytes) -> WireBytes? {
        index(of: key).map { entries[$0].value }
    }

    // MARK: Changing

    func remove(at index: Int) {
        entries[index].state = .removed
        isChanged = true
    }

    /// - Parameter encoded: an `AnyValue` in the request's or the configuration's memory, or another entry's.
    func set(_ encoded: WireBytes, at index: Int) {
        if entries[index].value.equals(encoded) { return }
        entries[index].value = encoded
        entries[index].state = .changed
        isChanged = true
    }

    /// Sets a value that `write` encodes.
    func set(at index: Int, _ write: (inout OutputBuffer) -> Void) {
        set(made(write), at: index)
    }

    func append(_ key: WireBytes, _ encoded: WireBytes) {
        entries.append(AttributeEntry(key: key, value: encoded, encoded: WireBytes(start: nil, count: 0), state: .changed))
        isChanged = true
    }

    /// Sets every attribute with this key, or appends one.
    func put(_ key: WireBytes, _ encoded: WireBytes) {
        guard var index = index(of: key) else { return append(key, encoded) }
        set(encoded, at: index)
        while let next = self.index(of: key, from: index + 1) {
            set(encoded, at: next)
            index = next
        }
    }

    /// The value that `write` encodes, in memory that lasts until the next `open`.
    func made(_ write: (inout OutputBuffer) -> Void) -> WireBytes {
        value.truncate(to: 0)
        write(&value)
        return value.withBytes { memory.copy($0) }
    }

    // MARK: Writing

    /// Appends all fields, number `field` for the attributes, and returns how many attributes there are.
    func write(_ field: UInt32, into output: inout OutputBuffer) -> Int {
        var count = 0
        var run = WireBytes(start: nil, count: 0)
        for entry in entries {
            switch entry.state {
            case .kept, .other:
                if entry.state == .kept { count += 1 }
                if let start = run.baseAddress, start + run.count == entry.encoded.baseAddress {
                    run = WireBytes(start: start, count: run.count + entry.encoded.count)
                } else {
                    output.append(run)
                    run = entry.encoded
                }
            case .changed:
                output.append(run)
                run = WireBytes(start: nil, count: 0)
                output.appendAttribute(field, key: entry.key) { $0.append(entry.value) }
                count += 1
            case .removed: break
            }
        }
        output.append(run)
        return count
    }
}
