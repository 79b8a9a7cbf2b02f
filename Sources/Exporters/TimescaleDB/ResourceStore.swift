import Synchronization

/// Puts resources into the table `resources`, and remembers which ones are there; shared by an exporter's writers.
///
/// Runs before a batch's COPY and in a transaction of its own: two writers that inserted the same resource within their COPY
/// transactions would wait for each other or deadlock. Sorted by id for the same reason. A resource whose batch then fails
/// stays behind, which is harmless.
final class ResourceStore: Sendable {
    private let known = Mutex<Set<Int64>>([])
    private let insertHead: String

    init(schema: SQLIdentifier) {
        insertHead = "insert into \(schema).resources (resource_id, service_name, attributes, schema_url, first_seen) values "
    }

    /// Makes sure that all `resources` are in the table.
    func store(_ resources: [ResourceRow], on connection: Connection) throws(DatabaseError) {
        var missing: [Int64: ResourceRow] = [:]
        known.withLock { known in
            for resource in resources where !known.contains(resource.id) { missing[resource.id] = resource }
        }
        guard !missing.isEmpty else { return }
        let rows = missing.values.sorted { $0.id < $1.id }
        var start = 0
        while start < rows.count {
            let end = min(start + TimescaleDBLimits.resourcesPerInsertMax, rows.count)
            try insert(rows[start..<end], on: connection)
            start = end
        }
        known.withLock { known in
            if known.count + rows.count > TimescaleDBLimits.knownResourcesMax { known.removeAll(keepingCapacity: true) }
            for row in rows.prefix(TimescaleDBLimits.knownResourcesMax) { known.insert(row.id) }
        }
    }

    /// Forgets everything: after an error that may mean that the table was replaced.
    func forget() {
        known.withLock { $0.removeAll() }
    }

    private func insert(_ rows: ArraySlice<ResourceRow>, on connection: Connection) throws(DatabaseError) {
        var parameters: [[UInt8]?] = []
        var values: [String] = []
        for row in rows {
            let first = parameters.count + 1
            values.append("($\(first)::bigint, $\(first + 1)::text, $\(first + 2)::jsonb, $\(first + 3)::text, now())")
            parameters += [Array(String(row.id).utf8), row.serviceName, row.attributesJSON, row.schemaURL.isEmpty ? nil : row.schemaURL]
        }
        try connection.query(insertHead + values.joined(separator: ", ") + " on conflict do nothing", parameters)
    }
}

/// A name in SQL, quoted.
struct SQLIdentifier: Sendable, Equatable, CustomStringConvertible {
    let name: String

    var description: String { "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\"" }

    /// As a string literal, for functions that take a name.
    var literal: String { "'" + name.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'" }
}
