/// What a client is answered, in the encoding of its request: `ExportTraceServiceResponse` of OTLP 1.11, or `google.rpc.Status`
/// (https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto, error_details.proto).
/// Written once per request at most, so the results are plain arrays.
public enum OTLPResponse {
    public enum Encoding: Sendable {
        case protobuf
        case json
    }

    /// UTF-8 bytes that any text in an answer keeps. Responses have to stay under 4 MiB, gRPC's metadata under 8 KiB with the
    /// text in it twice and in base64.
    public static let messageBytesMax = 1_536
    /// Field violations that a status lists; the first ones tell the client enough.
    public static let violationsMax = 8

    /// One part of a request that is wrong.
    public struct FieldViolation: Sendable, Equatable {
        /// Path of the field, such as `resourceSpans[0].resource`; may be empty.
        public let field: String
        public let description: String

        public init(field: String, description: String) {
            self.field = field
            self.description = description
        }
    }

    /// `details` of a status.
    public struct Details: Sendable, Equatable {
        /// `google.rpc.BadRequest`, present when not empty.
        public let fieldViolations: [FieldViolation]
        /// `google.rpc.RetryInfo`. Negative counts as zero.
        public let retryDelay: Duration?

        public init(fieldViolations: [FieldViolation] = [], retryDelay: Duration? = nil) {
            self.fieldViolations = Array(fieldViolations.prefix(violationsMax))
            self.retryDelay = retryDelay
        }

        /// - Parameter badRequest: what is wrong with the request as a whole.
        public init(badRequest: String?, retryDelay: Duration? = nil) {
            self.init(fieldViolations: badRequest.map { [FieldViolation(field: "", description: $0)] } ?? [], retryDelay: retryDelay)
        }
    }

    /// The answer of `TraceService/Export`: with no rejected spans and no message everything was taken, with a message alone it
    /// is a warning.
    public static func exportTraces(rejectedSpans: Int, message: String, _ encoding: Encoding) -> [UInt8] {
        var output = OutputBuffer()
        let isComplete = rejectedSpans == 0 && message.isEmpty
        switch encoding {
        case .protobuf:
            if isComplete { break }
            output.appendTag(1, .lengthDelimited)
            let partial = output.openMessage(expectedBytes: message.utf8.count)
            if rejectedSpans != 0 { output.appendField(1, varint: UInt64(max(rejectedSpans, 0))) }
            output.appendField(2, text: message)
            output.closeMessage(partial)
        case .json:
            if isComplete {
                output.append("{}")
                break
            }
            output.append(#"{"partialSuccess":{"#)
            if rejectedSpans != 0 {
                output.append(#""rejectedSpans":""#)
                output.appendDecimal(Int64(max(rejectedSpans, 0)))
                output.append(message.isEmpty ? "\"" : "\",")
            }
            if !message.isEmpty { output.appendMember("errorMessage", text: message) }
            output.append("}}")
        }
        return output.withBytes { Array($0) }
    }

    /// A `google.rpc.Status`; `code` is the gRPC status code.
    public static func status(code: Int32, message: String, details: Details, _ encoding: Encoding) -> [UInt8] {
        var output = OutputBuffer()
        switch encoding {
        case .protobuf: protobufStatus(code, message, details, to: &output)
        case .json: jsonStatus(code, message, details, to: &output)
        }
        return output.withBytes { Array($0) }
    }

    /// Value of a binary gRPC header (`…-bin`): base64 without padding, as its specification prefers.
    public static func base64(_ bytes: [UInt8]) -> String {
        var output = OutputBuffer(capacity: bytes.count * 2)
        bytes.withUnsafeBytes { output.appendBase64($0) }
        return output.withBytes { String(decoding: $0, as: UTF8.self).prefix { $0 != "=" } }.description
    }

    /// A `google.rpc.RetryInfo` by itself, in protobuf.
    public static func retryInfo(_ delay: Duration) -> [UInt8] {
        var output = OutputBuffer()
        protobufRetryInfo(delay, to: &output)
        return output.withBytes { Array($0) }
    }

    private static let badRequestType: StaticString = "type.googleapis.com/google.rpc.BadRequest"
    private static let retryInfoType: StaticString = "type.googleapis.com/google.rpc.RetryInfo"

    private static func protobufStatus(_ code: Int32, _ message: String, _ details: Details, to output: inout OutputBuffer) {
        if code != 0 { output.appendField(1, varint: UInt64(bitPattern: Int64(code))) }
        output.appendField(2, text: message)
        if !details.fieldViolations.isEmpty {
            let (detail, value) = openDetail(badRequestType, to: &output)
            for violation in details.fieldViolations {
                output.appendTag(1, .lengthDelimited)
                let open = output.openMessage(expectedBytes: 0)
                output.appendField(1, text: violation.field)
                output.appendField(2, text: violation.description)
                output.closeMessage(open)
            }
            output.closeMessage(value)
            output.closeMessage(detail)
        }
        if let delay = details.retryDelay {
            let (detail, value) = openDetail(retryInfoType, to: &output)
            protobufRetryInfo(delay, to: &output)
            output.closeMessage(value)
            output.closeMessage(detail)
        }
    }

    private static func protobufRetryInfo(_ delay: Duration, to output: inout OutputBuffer) {
        let (seconds, nanoseconds) = secondsAndNanoseconds(delay)
        output.appendTag(1, .lengthDelimited)
        let open = output.openMessage(expectedBytes: 0)
        if seconds != 0 { output.appendField(1, varint: UInt64(seconds)) }
        if nanoseconds != 0 { output.appendField(2, varint: UInt64(nanoseconds)) }
        output.closeMessage(open)
    }

    /// Starts an entry of `details`: a `google.protobuf.Any` and the message in it.
    private static func openDetail(
        _ type: StaticString, to output: inout OutputBuffer
    ) -> (any: OutputBuffer.OpenMessage, value: OutputBuffer.OpenMessage) {
        output.appendTag(3, .lengthDelimited)
        let detail = output.openMessage(expectedBytes: 0)
        output.appendField(1, bytes: WireBytes(start: type.utf8Start, count: type.utf8CodeUnitCount))
        output.appendTag(2, .lengthDelimited)
        return (detail, output.openMessage(expectedBytes: 0))
    }

    private static func jsonStatus(_ code: Int32, _ message: String, _ details: Details, to output: inout OutputBuffer) {
        output.append(#"{"code":"#)
        output.appendDecimal(Int64(code))
        output.append(",")
        output.appendMember("message", text: message)
        if !details.fieldViolations.isEmpty || details.retryDelay != nil { output.append(#","details":["#) }
        if !details.fieldViolations.isEmpty {
            output.append(#"{"@type":""#)
            output.append(badRequestType)
            output.append(#"","fieldViolations":["#)
            for (index, violation) in details.fieldViolations.enumerated() {
                output.append(index == 0 ? "{" : ",{")
                if !violation.field.isEmpty {
                    output.appendMember("field", text: violation.field)
                    output.append(",")
                }
                output.appendMember("description", text: violation.description)
                output.append("}")
            }
            output.append(details.retryDelay == nil ? "]}" : "]},")
        }
        if let delay = details.retryDelay {
            output.append(#"{"@type":""#)
            output.append(retryInfoType)
            output.append(#"","retryDelay":""#)
            appendDuration(delay, to: &output)
            output.append("\"}")
        }
        if !details.fieldViolations.isEmpty || details.retryDelay != nil { output.append("]") }
        output.append("}")
    }

    /// ProtoJSON's Duration: seconds with no, three, six or nine decimals.
    private static func appendDuration(_ duration: Duration, to output: inout OutputBuffer) {
        let (seconds, nanoseconds) = secondsAndNanoseconds(duration)
        output.appendDecimal(seconds)
        if nanoseconds > 0 {
            let decimals = nanoseconds % 1_000_000 == 0 ? 3 : nanoseconds % 1_000 == 0 ? 6 : 9
            let digits = String(1_000_000_000 + nanoseconds).dropFirst().prefix(decimals)
            output.append("." + digits)
        }
        output.append("s")
    }

    /// As google.protobuf.Duration holds it; at least 0.
    private static func secondsAndNanoseconds(_ duration: Duration) -> (seconds: Int64, nanoseconds: Int64) {
        let (seconds, attoseconds) = max(duration, .zero).components
        // Duration's limit in protobuf: 10,000 years.
        return (min(seconds, 315_576_000_000), attoseconds / 1_000_000_000)
    }
}

extension OutputBuffer {
    /// A string field of an answer, cut at `OTLPResponse.messageBytesMax`; omitted when empty.
    fileprivate mutating func appendField(_ field: UInt32, text: String) {
        guard !text.isEmpty else { return }
        var cut = OutputBuffer.cut(text)
        cut.withUTF8 { appendField(field, bytes: WireBytes($0)) }
    }

    /// `"name":"text"`, cut likewise.
    fileprivate mutating func appendMember(_ name: StaticString, text: String) {
        append("\"")
        append(name)
        append("\":")
        var cut = OutputBuffer.cut(text)
        cut.withUTF8 { appendJSONString(WireBytes($0), nul: .keep) }
    }

    /// At most `messageBytesMax` bytes of `text`, in whole characters.
    private static func cut(_ text: String) -> String {
        let limit = OTLPResponse.messageBytesMax
        guard text.utf8.count > limit else { return text }
        var bytes = 0
        return String(
            text.prefix { character in
                bytes += character.utf8.count
                return bytes <= limit
            })
    }
}
