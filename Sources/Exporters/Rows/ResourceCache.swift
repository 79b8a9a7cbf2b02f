import Glibc
import OTLPWire

/// Rows of the resources seen lately, by their encoded bytes: a process sends the same resource with every request, and
/// writing and hashing it anew would cost more than its spans. One per writer, used by one thread.
struct ResourceCache {
    private struct Entry {
        let encoded: [UInt8]
        let schemaURL: [UInt8]
        let row: ResourceRow

        func matches(_ resource: ResourceView) -> Bool {
            Self.equal(encoded, resource.encoded) && Self.equal(schemaURL, resource.schemaURL)
        }

        private static func equal(_ known: [UInt8], _ bytes: WireBytes) -> Bool {
            known.count == bytes.count
                && known.withUnsafeBytes { known in
                    guard let one = known.baseAddress, let other = bytes.baseAddress else { return true }
                    return memcmp(one, other, known.count) == 0
                }
        }
    }

    /// Memory bounds of one cache. When it is full it starts over: what is in use comes back at once.
    static let entriesMax = 1_024
    static let bytesMax = 4 * 1024 * 1024

    private var entries: [Int: Entry] = [:]
    private var byteCount = 0

    /// The row of `resource`, made by `json` when it is not known.
    mutating func row(of resource: ResourceView, json: inout AttributeJSON) -> ResourceRow {
        var hasher = Hasher()
        hasher.combine(bytes: resource.encoded)
        hasher.combine(bytes: resource.schemaURL)
        let hash = hasher.finalize()
        if let entry = entries[hash], entry.matches(resource) { return entry.row }

        let row = ResourceRow(resource, json: &json)
        let cost = resource.encoded.count + resource.schemaURL.count + row.attributesJSON.count
        guard cost <= Self.bytesMax / 16 else { return row }
        if entries.count >= Self.entriesMax || byteCount + cost > Self.bytesMax {
            entries.removeAll(keepingCapacity: true)
            byteCount = 0
        }
        entries[hash] = Entry(encoded: Array(resource.encoded), schemaURL: Array(resource.schemaURL), row: row)
        byteCount += cost
        return row
    }
}
