/// A line of a dead-letter file, cut up so that several can go into one request.
struct ReplayLine {
    /// What is between the brackets of `resourceSpans`; nil when the line has another shape and must be sent as it is.
    let resourceSpans: ArraySlice<UInt8>?
    let whole: ArraySlice<UInt8>

    private static let head = Array(#"{"resourceSpans":["#.utf8)

    init(_ line: ArraySlice<UInt8>) {
        whole = line
        resourceSpans = Self.list(line)
    }

    /// The list's content, when the line is `{"resourceSpans":[…]}` or `{"resourceSpans":[…],"deadLetter":{…}}`.
    private static func list(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard line.starts(with: head), line.last == UInt8(ascii: "}") else { return nil }
        let start = line.startIndex + head.count
        guard let end = closingBracket(line, from: start) else { return nil }
        let rest = line[(end + 1)...]
        guard rest.count == 1 || rest.starts(with: Array(#","deadLetter":"#.utf8)) else { return nil }
        return line[start..<end]
    }

    /// Where the list that begins before `start` ends.
    private static func closingBracket(_ line: ArraySlice<UInt8>, from start: Int) -> Int? {
        var depth = 0
        var isText = false
        var index = start
        while index < line.endIndex {
            let byte = line[index]
            if isText {
                if byte == UInt8(ascii: "\\") { index += 1 } else if byte == UInt8(ascii: "\"") { isText = false }
            } else if byte == UInt8(ascii: "\"") {
                isText = true
            } else if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
                depth += 1
            } else if byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") {
                if depth == 0 { return byte == UInt8(ascii: "]") ? index : nil }
                depth -= 1
            }
            index += 1
        }
        return nil
    }

    /// One request of all lines; they must have `resourceSpans` unless there is only one.
    ///
    /// - Parameter mark: `ReplayFiles.markText`, put in as a resource entry without spans.
    static func request(_ lines: [ReplayLine], mark: String) -> [UInt8] {
        if lines.count == 1, let only = lines.first, only.resourceSpans == nil { return Array(only.whole) }
        var body = head
        for line in lines {
            guard let list = line.resourceSpans, !list.isEmpty else { continue }
            body += list
            body.append(UInt8(ascii: ","))
        }
        return body + Array(#"{"schemaUrl":"urn:collector:replay:\#(mark)"}]}"#.utf8)
    }
}

/// What a receiver's answer means for the lines of a request.
enum ReplayVerdict: Equatable {
    case accepted
    /// Taken but for so many spans, and which those are is not said.
    case partly(rejected: Int)
    /// Refused for good; nothing was taken.
    case refused
    case later

    /// Statuses: OTLP specification, "OTLP/HTTP response".
    init(status: Int, body: String) {
        switch status {
        case 200..<300:
            let rejected = Self.rejectedSpans(body)
            self = rejected > 0 ? .partly(rejected: rejected) : .accepted
        case 408, 429, 502, 503, 504: self = .later
        default: self = .refused
        }
    }

    /// `"rejectedSpans":"3"` or `"rejectedSpans":3`.
    private static func rejectedSpans(_ body: String) -> Int {
        guard let range = body.utf8.firstRange(of: Array(#""rejectedSpans""#.utf8)) else { return 0 }
        let digits = body.utf8[range.upperBound...].drop { ": \"\n\t".utf8.contains($0) }.prefix { (0x30...0x39).contains($0) }
        return Int(String(decoding: digits, as: UTF8.self)) ?? 0
    }
}
