import Crypto
import OTLPWire

/// A row of `resources`, and the columns of `traces` that come from the resource. All text is sanitised and cut.
final class ResourceRow: Sendable {
    /// The first 64 bits of SHA-256 over the canonical bytes: a version byte, the schema URL's length (8 bytes, big-endian) and
    /// text, then for each attribute, sorted by the JSON text of its key, that text and the value's JSON text. So resources that
    /// differ only in the order of their attributes are one, and equal ids mean equal rows.
    let id: Int64
    let projectID: [UInt8]
    let serviceName: [UInt8]
    /// JSON object, as `AttributeJSON` writes it.
    let attributesJSON: [UInt8]
    /// Empty = none.
    let schemaURL: [UInt8]

    private static let canonicalVersion: UInt8 = 1

    init(_ resource: ResourceView, json: inout AttributeJSON) {
        let attributes = resource.attributes
        projectID = Self.projectID(attributes)
        serviceName = Self.text(
            attributes.firstString("service.name"), default: "unknown_service", bytesMax: RowLimits.indexedTextBytesMax)
        schemaURL = Self.text(resource.schemaURL, default: "", bytesMax: RowLimits.textBytesMax)

        var output = OutputBuffer(capacity: resource.encoded.count + 256)
        let isWhole = json.appendAttributes(attributes, to: &output)
        if !isWhole { output.append("{}") }
        attributesJSON = output.withBytes { Array($0) }
        id = Self.identifier(attributes: isWhole ? attributes : nil, schemaURL: schemaURL, json: &json)
    }

    private static func projectID(_ attributes: AttributesView) -> [UInt8] {
        let keys: [StaticString] = ["project.id", "openinference.project.name", "service.namespace"]
        for key in keys {
            let id = text(attributes.firstString(key), default: "", bytesMax: RowLimits.segmentTextBytesMax)
            if !id.isEmpty { return id }
        }
        return Array("default".utf8)
    }

    private static func text(_ text: WireBytes?, default fallback: String, bytesMax: Int) -> [UInt8] {
        guard let text, text.count > 0 else { return Array(fallback.utf8) }
        var output = OutputBuffer()
        output.appendColumnText(text, bytesMax: bytesMax)
        return output.withBytes { Array($0) }
    }

    private static func identifier(attributes: AttributesView?, schemaURL: [UInt8], json: inout AttributeJSON) -> Int64 {
        var members: [(key: [UInt8], value: [UInt8], position: Int)] = []
        var output = OutputBuffer()
        if let attributes {
            for attribute in attributes {
                output.removeAll()
                output.appendJSONString(attribute.key, nul: .replace)
                let keyEnd = output.count
                _ = json.appendValue(attribute.value, to: &output)
                output.withBytes { members.append((Array($0[..<keyEnd]), Array($0[keyEnd...]), members.count)) }
            }
        }
        // Values of a repeated key keep their order, in which the row holds them.
        members.sort { $0.key == $1.key ? $0.position < $1.position : $0.key.lexicographicallyPrecedes($1.key) }
        output.removeAll()
        output.append(canonicalVersion)
        output.appendBigEndian(UInt64(schemaURL.count))
        schemaURL.withUnsafeBytes { output.append($0) }
        for member in members {
            member.key.withUnsafeBytes { output.append($0) }
            member.value.withUnsafeBytes { output.append($0) }
        }
        return output.withBytes { Int64(bitPattern: SHA256.prefix64($0)) }
    }
}
