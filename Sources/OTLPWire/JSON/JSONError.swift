/// Why a JSON document is not the OTLP message it claims to be. Holds names of the schema and positions, never what the client
/// wrote: neither values nor unknown keys.
public struct JSONError: Error, Equatable {
    public enum Problem: String, Sendable, CaseIterable {
        case notJSON = "is not JSON"
        case tooLarge = "is too large"
        case outOfMemory = "does not fit into memory"
        case nestedTooDeep = "is nested too deep"
        case expectedObject = "must be an object"
        case expectedArray = "must be an array"
        case expectedString = "must be a string"
        case expectedBoolean = "must be a boolean"
        case expectedNumber = "must be a number"
        case expectedInteger = "must be an integer, as a number or a string of digits"
        case expectedEnumNumber = "must be the enum's integer, not its name"
        case expectedHex = "must be hexadecimal digits, two for each byte"
        case expectedBase64 = "must be base64"
        case outOfRange = "is out of range"
    }

    /// For example `resourceSpans[0].scopeSpans[1].spans[7].traceId`; empty for the document itself.
    public private(set) var path: String
    public let problem: Problem

    init(_ problem: Problem) {
        path = ""
        self.problem = problem
    }

    /// A sentence for the client.
    public var message: String { (path.isEmpty ? "the document" : path) + " " + problem.rawValue }

    /// The same error, seen from the message that holds `field`.
    func inside(_ field: StaticString, _ index: Int?) -> JSONError {
        var outer = self
        outer.path = "\(field)" + (index.map { "[\($0)]" } ?? "") + (path.isEmpty ? "" : ".") + path
        return outer
    }
}
